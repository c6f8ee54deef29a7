"""The schema's history, run by ``store.database.upgrade`` when the service starts."""
