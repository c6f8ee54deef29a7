"""Export a trained model for browsers, and run the export with numpy."""
