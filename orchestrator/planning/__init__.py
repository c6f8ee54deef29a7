"""From manifests and live AWS to a plan, and from a plan to outcomes: the stages that every verb shares."""
