"""The demo: run the real pipeline against an emulated AWS."""
