"""Benchmark the state service on PostgreSQL with a year of history."""
