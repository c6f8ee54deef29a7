"""The state service on PostgreSQL, after a year of deploys."""
