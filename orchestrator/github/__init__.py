"""What the workflows do with GitHub: comments, statuses, deployments, issues, and whether a plan was reviewed.

GitHub is where people meet the product; nothing here is needed to plan or to deploy.  May know: everything below
``cli``.  ``client`` alone speaks HTTP; ``page``, ``seen`` and ``approval`` are pure.
"""
