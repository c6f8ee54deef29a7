"""A training measured against the plain recipe: every epoch through the frozen base."""
