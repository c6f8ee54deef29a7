"""Export a trained model for browsers."""
