"""Bring data back: what can be restored, and the desired state with which the pipeline restores it."""
