"""Photos: download, check, split, preprocess."""
