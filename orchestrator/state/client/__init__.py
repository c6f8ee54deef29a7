"""Report runs to the state service, or to a journal when it is unavailable.  Imports nothing from the server."""
