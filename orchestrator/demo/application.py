"""The demo's second half: an application is shipped, breaks, and comes back, by the same code as deploy and rollback.

Where buildah or podman works its image is built, in a store that goes with the demo; elsewhere it is put together in
Python, so that the demo needs no builder.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.demo import build_store, image_assembly, python_runtime, sample
from orchestrator.planning import pipeline
from orchestrator.problems import Exit
from orchestrator.release import checkout, probe
from orchestrator.render import plan_view
from orchestrator.runs import release, reporter
from orchestrator.runs.reporter import How
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.aws import Clients
    from orchestrator.emulator import Emulator

DEEP_LINK = "/sales/42"
MODEL, NO_MODEL = "/ml-models/current.json", "/ml-models/no-such-model.json"
BUILT = "{builder} builds its image, in a store that goes with the demo, and it is pushed to the emulated ECR."
ASSEMBLED = (
    "Its image is put together here, without a builder ({why}), and pushed to the emulated ECR; in a project "
    "`image.build` has docker, buildah or podman build it."
)
PLAYED = "App Runner's part is played by a real process with a real health check."


class WrongVersionError(Exception):
    """What answers is not what should; says what."""


def impossible() -> str:
    """Why this machine cannot run the application, in a sentence, or nothing."""
    from orchestrator.emulator import container_runtime

    return container_runtime.trouble()


def tell(
    settings: Settings, chapter: Callable[[str], None], emulator: Emulator, environ: MutableMapping[str, str]
) -> None:
    """Four chapters.

    Raises WrongVersionError when something does not end as it should, Problems when this machine has no Python that
    can be put into an image.
    """
    from orchestrator.aws import Clients

    with (
        tempfile.TemporaryDirectory(prefix="orchestrator-demo-") as folder,
        build_store.opened(environ, Path(folder)) as (builder, why),
    ):
        chapter("Ship: version 1 of an application, an API and its site")
        settings.terminal.say(f"{BUILT.format(builder=builder) if builder else ASSEMBLED.format(why=why)} {PLAYED}")
        there = replace(settings, manifests=Path(folder) / "shop" / "manifests", environment="prod")
        runtime = None if builder else _runtime(Path(folder) / "runtime")
        shop = _Shop(there, Path(folder) / "shop", runtime, emulator, Clients(sample.REGION))
        shop.found()
        shop.deploy("1", answers="1")
        chapter("Ship version 2")
        shop.deploy("2", answers="2")
        chapter("Ship version 3, which fails its health check")
        shop.deploy("3", answers="2", ends=Exit.ROLLED_BACK)
        chapter("Go back to version 1: image, site and manifests, with one command")
        shop.go_back(1, answers="1")


class _Shop(Struct, frozen=True):
    """The application's checkout, and the AWS that it is shipped to.

    ``runtime`` is the layer below its code; None where a builder makes the image.
    """

    settings: Settings
    folder: Path
    runtime: bytes | None
    emulator: Emulator
    clients: Clients

    def found(self) -> None:
        """What whoever builds images has made beforehand; where the project builds them, it is the project's."""
        if self.runtime is not None:
            self.clients.call("ecr", "create_repository", {"repositoryName": sample.REPOSITORY})

    def deploy(self, version: str, *, answers: str, ends: Exit = Exit.OK) -> None:
        """Merge and deploy a version; ``answers`` is the one that answers afterwards."""
        well = ends is Exit.OK
        sample.write(self.folder, version, healthy=well, prebuilt=self._assembled(version, healthy=well))
        desk = release.desk(self.settings, auto_approve=True, clients=self.clients)
        with desk.writing("deploy", How(reason=f"version {version}")) as ours:
            asked = checkout.of_manifest(ours.manifest, ours.clients)
            planned = pipeline.plan(asked.desired, clients=ours.clients)
            reporter.choose(ours.record, planned)
            self.settings.terminal.say(f"{plan_view.headline(planned.plan)}.")
            again = self.settings.command("deploy")
            code = ours.carry_out(planned, lambda run, told: run.deploy(planned, asked, told), 16, again)
        if version == "1":
            model = {"Bucket": sample.FILES, "Key": MODEL.lstrip("/"), "Body": b'{"version": "7"}'}
            self.clients.call("s3", "put_object", {**model, "ContentType": "application/json"})
        self._expect(code, ends, answers)

    def _assembled(self, version: str, *, healthy: bool) -> str:
        """The digest of an image that was put together and pushed; "" where a builder makes it."""
        if self.runtime is None:
            return ""
        image = sample.image(version, self.runtime, healthy=healthy)
        token = self.clients.call("ecr", "get_authorization_token", {})
        return image_assembly.push(token, sample.REPOSITORY, f"v{version}", image)

    def go_back(self, number: int, *, answers: str) -> None:
        """What `orchestrator rollback --to NUMBER` does."""
        desk = release.desk(self.settings, auto_approve=True, clients=self.clients)
        with desk.writing("rollback", How(needed=False, reason="version 1 was better")) as ours:
            way = release.way(ours, number, "", keeping=True)
            planned = pipeline.plan(way.wanted.desired, clients=ours.clients)
            reporter.choose(ours.record, planned)
            self.settings.terminal.say(f"{release.heading(way)}\n{plan_view.headline(planned.plan)}.")
            again = self.settings.command("rollback", "--to", str(number))
            code = ours.carry_out(planned, lambda run, told: run.go_back(planned, way, "", told), 16, again)
        self._expect(code, Exit.OK, answers)

    def _expect(self, code: int, wished: Exit, version: str) -> None:
        if code == release.INTERRUPTED:
            raise KeyboardInterrupt
        if code != wished:
            message = f"it ended with exit code {code} instead of {int(wished)}"
            raise WrongVersionError(message)
        self._look(version)

    def _look(self, version: str) -> None:
        """Ask as users do, and tell what they get."""
        services = self.clients.call("apprunner", "list_services", {})["ServiceSummaryList"]
        sites = self.clients.call("cloudfront", "list_distributions", {})["DistributionList"]["Items"]
        api, site = str(services[0]["ServiceUrl"]), str(sites[0]["DomainName"])
        page = _get(site, DEEP_LINK)[1]
        [script] = re.findall(r'src="(/assets/app-\w+\.js)"', page)
        [chunk] = re.findall(r"sale-\w+\.js", _get(site, script)[1])
        asked = [
            (api, "/version"),
            *((site, path) for path in (DEEP_LINK, script, f"/assets/{chunk}", MODEL, NO_MODEL)),
        ]
        answers = [(path, *_get(host, path)) for host, path in asked]
        lines = [f"  {status}  {path}" for path, status, _ in answers]
        say = self.settings.terminal.say
        say(f"What answers now is version {version}. The site's page is {self.emulator.browse(site)}{DEEP_LINK}:")
        say("\n".join(lines))
        seen = {json.loads(answers[0][2])["version"], *re.findall(r"version (\d+)", page)}
        if seen != {version} or [status for _, status, _ in answers] != [200, 200, 200, 200, 200, 404]:
            message = f"version {', '.join(sorted(seen))} answers instead of {version}"
            raise WrongVersionError(message)


def _runtime(folder: Path) -> bytes:
    python_runtime.copy(folder)
    return image_assembly.layer(folder)


def _get(host: str, path: str) -> tuple[int, str]:
    status, _, body = probe.over_http(probe.Probe("the demo", host, path))
    return status, body.decode()
