"""The second half of the demo: deploy an application, break it and roll it back.

It calls the same functions as ``orchestrator deploy`` and ``rollback``.  buildah or podman builds the image in a
temporary store; without them, it is assembled in Python, so that the demo needs no builder.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from orchestrator.demo import build_store, image_assembly, python_runtime, sample
from orchestrator.problems import ExitCode
from orchestrator.release import probe
from orchestrator.runs.approval import Approval
from orchestrator.runs.release import DeployOptions, RollbackOptions, deploy, rollback
from orchestrator.runs.reporter import RunOptions
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.aws import Clients
    from orchestrator.emulator import Emulator

APPROVAL = Approval(is_automatic=True, shown_detail="head")
DEEP_LINK_PATH = "/sales/42"
MODEL_PATH, MISSING_MODEL_PATH = "/ml-models/current.json", "/ml-models/no-such-model.json"
BUILT_MESSAGE = "{builder} builds the image in a temporary store and pushes it to the emulated ECR."
ASSEMBLED_MESSAGE = (
    "The image is assembled without a builder ({reason}) and pushed to the emulated ECR. In a project, "
    "docker, buildah or podman builds it (`image.build`)."
)
RUNTIME_MESSAGE = "In place of App Runner, the image runs as a local process with a real health check."


class WrongVersionError(Exception):
    """A step ended with the wrong exit code, or the wrong version answers."""


def unsupported_reason() -> str:
    """Return why this machine cannot run the application, or "" if it can."""
    from orchestrator.emulator import container_runtime

    return container_runtime.check_isolation()


def run_application_demo(
    settings: Settings, start_chapter: Callable[[str], None], emulator: Emulator, environ: MutableMapping[str, str]
) -> None:
    """Deploy three versions of the application and roll back, one chapter each.

    Raises WrongVersionError if a chapter has an unexpected result, Problems if the Python of this machine cannot be
    copied into an image.
    """
    from orchestrator.aws import Clients

    with (
        tempfile.TemporaryDirectory(prefix="orchestrator-demo-") as folder,
        build_store.open_build_store(environ, Path(folder)) as (builder, reason),
    ):
        start_chapter("Deploy version 1 of an application (an API and a site)")
        settings.terminal.print_out(
            f"{BUILT_MESSAGE.format(builder=builder) if builder else ASSEMBLED_MESSAGE.format(reason=reason)} "
            f"{RUNTIME_MESSAGE}"
        )
        shop_settings = replace(settings, manifests=Path(folder) / "shop" / "manifests", environment="prod")
        runtime = None if builder else _build_runtime_layer(Path(folder) / "runtime")
        application = _SampleApplication(
            shop_settings, Path(folder) / "shop", runtime, emulator, Clients(sample.REGION, account=sample.ACCOUNT)
        )
        application.create_repository()
        application.deploy("1", expected_version="1")
        start_chapter("Deploy version 2")
        application.deploy("2", expected_version="2")
        start_chapter("Deploy version 3, which fails its health check")
        application.deploy("3", expected_version="2", expected_exit_code=ExitCode.ROLLED_BACK)
        start_chapter("Roll back to version 1 (image, site and manifests) with one command")
        application.rollback(1, expected_version="1")


class _SampleApplication(Struct, frozen=True):
    """The application's checkout, and the emulated AWS that it is deployed to.

    ``runtime`` is the image layer with Python; None if a builder builds the image.  ``open_tabs`` are the paths of the
    chunks that pages of each version load later, as a tab does that stays open.
    """

    settings: Settings
    folder: Path
    runtime: bytes | None
    emulator: Emulator
    clients: Clients
    open_tabs: dict[str, str] = field(default_factory=dict)

    def create_repository(self) -> None:
        """Create the image repository of a prebuilt image; if a builder builds the image, the project creates it."""
        if self.runtime is not None:
            self.clients.call("ecr", "create_repository", {"repositoryName": sample.REPOSITORY_NAME})

    def deploy(self, version: str, *, expected_version: str, expected_exit_code: ExitCode = ExitCode.OK) -> None:
        """Deploy ``version``, and check that ``expected_version`` answers afterwards."""
        is_healthy = expected_exit_code is ExitCode.OK
        sample.write_checkout(
            self.folder, version, healthy=is_healthy, prebuilt=self._push_assembled_image(version, healthy=is_healthy)
        )
        options = DeployOptions(
            APPROVAL, should_build_sites=False, run=RunOptions(reason=f"version {version}"), clients=self.clients
        )
        exit_code = deploy(self.settings, options).exit_code
        if version == "1":
            model_object = {"Bucket": sample.BUCKET_NAME, "Key": MODEL_PATH.lstrip("/"), "Body": b'{"version": "7"}'}
            self.clients.call("s3", "put_object", {**model_object, "ContentType": "application/json"})
        self._check_result(exit_code, expected_exit_code, expected_version)

    def _push_assembled_image(self, version: str, *, healthy: bool) -> str:
        """Assemble and push the image, and return its digest; "" if a builder builds it."""
        if self.runtime is None:
            return ""
        image = sample.build_image(version, self.runtime, healthy=healthy)
        authorization = self.clients.call("ecr", "get_authorization_token", {})
        return image_assembly.push_image(authorization, sample.REPOSITORY_NAME, f"v{version}", image)

    def rollback(self, number: int, *, expected_version: str) -> None:
        """Roll back to release ``number``, and check that ``expected_version`` answers afterwards."""
        options = RollbackOptions(number, reason="version 1 worked", approval=APPROVAL, clients=self.clients)
        exit_code = rollback(self.settings, options).exit_code
        self._check_result(exit_code, ExitCode.OK, expected_version)

    def _check_result(self, exit_code: int, expected_exit_code: ExitCode, version: str) -> None:
        if exit_code == ExitCode.INTERRUPTED:
            raise KeyboardInterrupt
        if exit_code != expected_exit_code:
            message = f"the exit code is {exit_code}, not {int(expected_exit_code)}"
            raise WrongVersionError(message)
        self._check_answers(version)

    def _check_answers(self, version: str) -> None:
        """Request the API and the site, print the responses, and raise WrongVersionError unless ``version`` answers."""
        services = self.clients.call("apprunner", "list_services", {})["ServiceSummaryList"]
        sites = self.clients.call("cloudfront", "list_distributions", {})["DistributionList"]["Items"]
        api_host, site_host = str(services[0]["ServiceUrl"]), str(sites[0]["DomainName"])
        page = _http_get(site_host, DEEP_LINK_PATH)[1]
        [script] = re.findall(r'src="(/assets/app-\w+\.js)"', page)
        [chunk] = re.findall(r"sale-\w+\.js", _http_get(site_host, script)[1])
        requests = [
            (api_host, "/version"),
            *(
                (site_host, path)
                for path in (DEEP_LINK_PATH, script, f"/assets/{chunk}", MODEL_PATH, MISSING_MODEL_PATH)
            ),
        ]
        responses = [(path, *_http_get(host, path)) for host, path in requests]
        lines = [f"  {status}  {path}" for path, status, _ in responses]
        print_out = self.settings.terminal.print_out
        print_out(f"Version {version} is live: {self.emulator.browser_url(site_host)}{DEEP_LINK_PATH}")
        print_out("\n".join(lines))
        served_versions = {json.loads(responses[0][2])["version"], *re.findall(r"version (\d+)", page)}
        if served_versions != {version} or [status for _, status, _ in responses] != [200, 200, 200, 200, 200, 404]:
            message = f"version {', '.join(sorted(served_versions))} is live instead of {version}"
            raise WrongVersionError(message)
        self._check_open_tabs(site_host, version)
        self.open_tabs[version] = f"/assets/{chunk}"

    def _check_open_tabs(self, site_host: str, version: str) -> None:
        """Request what tabs load that were opened on other versions; raise WrongVersionError if they would break."""
        for other, path in self.open_tabs.items():
            if other != version:
                status, _ = _http_get(site_host, path)
                self.settings.terminal.print_out(
                    f"  {status}  {path}, requested by a browser tab opened with version {other}"
                )
                if status != 200:
                    message = f"a browser tab opened with version {other} cannot load {path}"
                    raise WrongVersionError(message)


def _build_runtime_layer(folder: Path) -> bytes:
    python_runtime.copy_python(folder)
    return image_assembly.build_layer(folder)


def _http_get(host: str, path: str) -> tuple[int, str]:
    status, _, body = probe.http_get(probe.Probe("the demo", host, path))
    return status, body.decode()
