"""Database migrations of a checkout: which scripts are new, and what in them may lose data."""
