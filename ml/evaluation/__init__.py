"""Measure a trained model: metrics, parity and report."""
