"""A static site of 2,001 files, against the tools that people use for that."""
