"""Give GitHub Actions access to an AWS account: roles and policies from the manifests, and the repository's settings.

The roles are ordinary resources (``workflow_roles``): planned, shown and applied by the pipeline, in a scope of their
own, so that no deploy changes its own access.  May import everything below ``cli`` and ``render``.
"""
