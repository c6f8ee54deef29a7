"""Plan and apply: the stages from manifests and live AWS to a plan, and from a plan to outcomes."""
