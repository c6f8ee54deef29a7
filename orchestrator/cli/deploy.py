"""``orchestrator deploy``: the pipeline, then the proof, then the record."""

from __future__ import annotations

import click

from orchestrator.cli.options import Settings, applying, choosing, common
from orchestrator.cli.verb import verb


@verb(
    "deploy",
    "orchestrator deploy -e prod",
    "orchestrator deploy --expect DIGEST",
    "orchestrator deploy --auto-approve --no-build",
)
@click.option("--no-build", is_flag=True, help="Do not run the sites' build commands; ship what is there.")
@applying
@choosing
@common
def command(
    settings: Settings,
    no_build: bool,
    expect: str,
    auto_approve: bool,
    parallelism: int,
    targets: tuple[str, ...],
    allow: str,
) -> int:
    """Build, apply, ship, prove, and write the release down.

    Does what apply does, and then asks the services and the CDN whether what answers is what was shipped. If not, it
    goes back to the last release that was proved (or stops, if the Project says `releases.onFailure: stop`). Exits 0
    when released, 1 when it failed, 3 when vetoed, 5 when it failed and the release before stands again.
    """
    from orchestrator import pipeline
    from orchestrator.cli import releasing, show
    from orchestrator.cli.approval import Approval
    from orchestrator.problems import Exit
    from orchestrator.release import wanted

    terminal = settings.terminal
    manifest = pipeline.validate(settings.manifests, settings.environment)
    clients = releasing.clients(manifest)
    store = wanted.demand(manifest, clients)
    if not no_build:
        releasing.build_sites(manifest, terminal)
    approval = Approval(None, expect, auto_approve)
    with releasing.lease(store, settings, "deploy"):
        asked = wanted.of_manifest(manifest, clients)
        planned = pipeline.plan(asked.desired, targets=targets, allow=allow, clients=clients)
        approval.refuse_stale(planned.plan)
        show.to(terminal, planned, approval.detail(verbose=settings.verbose))
        if planned.plan.is_vetoed:
            return Exit.VETOED
        if planned.plan.pending:
            place = f"{planned.plan.project}/{planned.plan.environment} in account {planned.plan.account}"
            approval.obtain(
                terminal, f"Deploy these {len(planned.plan.pending)} changes to {place}? Only 'yes' is accepted:", "yes"
            )
        return releasing.carry_out(
            settings,
            planned,
            lambda run, told: run.deploy(planned, asked, told),
            store=store,
            clients=clients,
            parallelism=parallelism,
            again=settings.command("deploy"),
        )
