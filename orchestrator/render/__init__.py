"""What people see: one view of a plan, of drift, of an apply, and thin renderers over it.

``view``, ``drift`` and ``report`` sort, redact, shorten; ``text``, ``markdown`` and ``html`` only lay out and escape.
Nothing here reads AWS, files or the environment.
"""
