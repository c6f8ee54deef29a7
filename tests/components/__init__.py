"""Component kinds: what a manifest becomes."""
