"""The dashboard: pages made here, by the server, that read without JavaScript and come alive with it.

``mount`` puts them into the service.  One module a page; ``rendering`` lays out, ``wording`` says times and sums,
``statics`` serves what does not change, ``failures`` shows what went wrong.
"""

from __future__ import annotations

from fastapi import FastAPI


def mount(app: FastAPI) -> None:
    """Add the pages to a service whose ``app.state`` holds ``store``, ``settings`` and ``access``."""
    from orchestrator.state.server.pages import (
        drift,
        environments,
        error_pages,
        history,
        models,
        plans,
        releases,
        run_stream,
        runs,
        static_files,
        theme,
    )

    for module in (environments, runs, run_stream, plans, releases, drift, history, models, static_files, theme):
        app.include_router(module.router())
    error_pages.install_error_pages(app)
