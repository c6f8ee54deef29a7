"""The dashboard, in a real browser, over a history as a small shop would have it."""
