"""Report to GitHub from workflows (comments, statuses, deployments, issues) and check whether a plan was reviewed.

Planning and deploying do not need this package.  May import everything below ``cli``.  Only ``client`` speaks HTTP;
``comment_body``, ``reviewed_plan`` and ``approval`` are pure.
"""
