"""Find the page that a person wants to open: the site, a service, the dashboard, or AWS's console."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from urllib.parse import quote

from orchestrator.planning import pipeline
from orchestrator.planning.plan import PreparedPlan
from orchestrator.problems import Problems
from orchestrator.runs.environment_status import list_addresses
from orchestrator.runs.settings import Settings
from orchestrator.vocabulary import LiveResource

CONSOLE = "console.aws.amazon.com"
ConsolePath = Callable[[str, str, LiveResource], str]

CONSOLE_PAGES: Mapping[str, ConsolePath] = {
    "apprunner_service": lambda region, _name, live: (
        f"{region}.{CONSOLE}/apprunner/home?region={region}#/services/dashboard?service_arn="
        f"{quote(str(live.outputs['arn']), safe='')}"
    ),
    "budgets_budget": lambda _region, _name, _live: f"us-east-1.{CONSOLE}/billing/home#/budgets",
    "cloudfront_distribution": lambda _region, _name, live: (
        f"us-east-1.{CONSOLE}/cloudfront/v4/home#/distributions/{live.outputs['id']}"
    ),
    "ecs_express_service": lambda region, name, _live: (
        f"{region}.{CONSOLE}/ecs/v2/clusters/default/services/{name}?region={region}"
    ),
    "rds_instance": lambda region, name, _live: (
        f"{region}.{CONSOLE}/rds/home?region={region}#database:id={name};is-cluster=false"
    ),
    "s3_bucket": lambda region, name, _live: f"{region}.{CONSOLE}/s3/buckets/{name}?region={region}",
    "secretsmanager_secret": lambda region, name, _live: (
        f"{region}.{CONSOLE}/secretsmanager/secret?name={quote(name, safe='')}&region={region}"
    ),
}
"""The page of a resource in AWS's console, without ``https://``, from the region, its name and its live state."""


def find_url(settings: Settings, page: str, component: str = "") -> str:
    """Return the URL of a page.

    ``page`` is ``site``, ``dashboard``, ``console`` (of ``component``, if there is one), or a component or its name.
    Raises Problems, with the names there are, if there is no such page.
    """
    if page == "dashboard":
        return _dashboard_url(settings)
    desired = pipeline.load_desired(settings.manifests, settings.environment, include_artefacts=False)
    region = desired.scope.region
    if page == "console" and not component:
        return f"https://{region}.{CONSOLE}/console/home?region={region}"
    planned = pipeline.plan(desired)
    if page == "console":
        return _choose(_console_urls(planned, region), component, "page in the AWS console")
    addresses = list_addresses(planned)
    if page == "site":
        sites = {name: url for name, url in addresses.items() if name.startswith("cdn.")}
        page = next(iter(sites), "site")
    return _choose(addresses, page, "address")


def _console_urls(planned: PreparedPlan, region: str) -> dict[str, str]:
    urls: dict[str, str] = {}
    for address, task in planned.tasks.items():
        resource, live = task.resource, planned.live.get(address)
        if resource is not None and live is not None and (path := CONSOLE_PAGES.get(resource.type)):
            urls[resource.component] = f"https://{path(region, resource.physical, live)}"
    return urls


def _choose(urls: Mapping[str, str], component: str, description: str) -> str:
    for name, url in urls.items():
        if component in {name, name.partition(".")[2]}:
            return url
    names = ", ".join(sorted(urls))
    hint = f"components that have one: {names}" if names else "no component has one: run `orchestrator deploy` first"
    raise Problems.from_message(f"`{component}` has no {description}", hint=hint)


def _dashboard_url(settings: Settings) -> str:
    """Return the page of the environment in the state service."""
    base = os.environ.get("ORCHESTRATOR_STATE_URL", "").rstrip("/")
    if not base:
        raise Problems.from_message("no state service is configured", hint="set ORCHESTRATOR_STATE_URL to its address")
    scope = pipeline.validate(settings.manifests, settings.environment).scope
    return f"{base}/e/{scope.owner}"
