"""AWS services implemented here because no backend has them, or has them right."""
