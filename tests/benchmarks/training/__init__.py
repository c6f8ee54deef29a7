"""Benchmark training against the Keras guide's recipe, which runs every epoch through the frozen base."""
