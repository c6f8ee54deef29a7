"""AWS services that this package implements itself, because no backend has them or gets them right."""
