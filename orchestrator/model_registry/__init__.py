"""Manage trained models in a storage: upload, compare, switch, roll back."""
