"""The state service itself: HTTP API, pages, store."""
