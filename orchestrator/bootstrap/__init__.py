"""Letting workflows in: what GitHub Actions may do in an account, from the manifests; and what else a project needs.

The roles are resources like any other (``gate``): planned, shown and applied by the pipeline, in a scope of their own,
so that no deploy touches what lets it in.  May know: everything below ``cli`` and ``render``.
"""
