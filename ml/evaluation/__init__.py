"""Measure a trained model: metrics, parity, report."""
