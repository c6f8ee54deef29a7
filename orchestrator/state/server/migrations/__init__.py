"""Database migrations, run by ``store.database.migrate`` when the service starts."""
