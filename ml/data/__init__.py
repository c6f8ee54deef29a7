"""Download, check, split and preprocess product photos."""
