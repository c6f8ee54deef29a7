"""The demo: the real pipeline on an emulated AWS."""
