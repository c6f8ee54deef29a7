"""Benchmark the deployment of a static site of 2,001 files against common upload tools."""
