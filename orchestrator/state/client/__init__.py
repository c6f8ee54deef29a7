"""Client of the state service: report runs, keep a journal while it is away.  Imports nothing of the server."""
