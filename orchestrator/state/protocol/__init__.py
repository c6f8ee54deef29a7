"""Define the wire types of the state service, shared by its client and its server."""
