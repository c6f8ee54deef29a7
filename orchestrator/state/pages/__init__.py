"""The dashboard: pages made here, by the server, that read without JavaScript and come alive with it.

``mount`` puts them into the service.  One module a page; ``rendering`` lays out, ``wording`` says times and sums,
``statics`` serves what does not change, ``failures`` shows what went wrong.
"""

from __future__ import annotations

from fastapi import FastAPI


def mount(app: FastAPI) -> None:
    """Add the pages to a service whose ``app.state`` holds ``store``, ``settings`` and ``access``."""
    from orchestrator.state.pages import (
        drift,
        environments,
        failures,
        history,
        live,
        models,
        plans,
        releases,
        runs,
        statics,
        theme,
    )

    for module in (environments, runs, live, plans, releases, drift, history, models, statics, theme):
        app.include_router(module.router())
    failures.install(app)
