"""The manifest stage, from bytes to desired resources."""
