"""Render plans, drift, progress and results for people: as text, Markdown and HTML.

Views (``plan_view``, ``drift``, ``apply_report`` ...) sort, redact and shorten.  Renderers (``plan_text``,
``plan_markdown``, ``plan_html``) only lay out and escape.  Nothing here reads AWS or the environment.
"""
