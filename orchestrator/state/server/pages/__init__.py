"""Serve the dashboard: HTML pages rendered on the server, with JavaScript as an enhancement.

``install`` adds them to the service.  One module per page; ``rendering`` renders templates, ``formatting`` formats
values, ``static_files`` serves styles and scripts, ``error_pages`` shows errors.
"""

from __future__ import annotations

from fastapi import FastAPI


def install(app: FastAPI) -> None:
    """Add the pages to a service whose ``app.state`` holds ``store``, ``settings`` and ``authenticator``."""
    from orchestrator.state.server.pages import (
        cost,
        digest,
        drift,
        environments,
        error_pages,
        history,
        models,
        plans,
        recovery,
        releases,
        review,
        run_feed,
        run_stream,
        runs,
        static_files,
        theme,
    )

    app.state.run_feeds = run_feed.RunFeeds()
    environment_pages = (releases, drift, recovery, cost, review, models)
    pages = (environments, runs, run_stream, plans, *environment_pages, digest, history, static_files, theme)
    for module in pages:
        app.include_router(module.create_router())
    error_pages.install_error_pages(app)
