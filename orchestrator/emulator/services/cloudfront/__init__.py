"""Emulate CloudFront's control plane: distributions, origin access controls, functions, policies, invalidations."""
