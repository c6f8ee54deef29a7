"""Talk to PostgreSQL with its own programs: query, compare and copy databases.

A password reaches a program through its environment, never through its command line.
"""
