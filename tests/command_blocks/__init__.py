"""The `sh` blocks of tutorials and how-to guides, run on a terminal in a project that has what the page speaks of."""
