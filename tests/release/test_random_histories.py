"""Random histories of a whole project on the emulated AWS: commits, failures at any call, rollbacks, lost images.

After every step, what is served is one commit's combination and nothing that was refused; and the last proved release
can come back.  ``python -m tests.release.test_random_histories FIRST LAST`` runs more seeds than the suite does.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from orchestrator.artefacts.collect import collect_artefacts
from orchestrator.aws import Reader
from orchestrator.aws.errors import AwsError
from orchestrator.emulator import Emulator
from orchestrator.manifest import expand
from orchestrator.planning import pipeline
from orchestrator.problems import Problems
from orchestrator.release import rollback
from orchestrator.release.deploy import DeployResult
from orchestrator.release.probe import Probe, ProbeResult
from tests.proofs import real_stack
from tests.proofs.real_stack import emulated_aws
from tests.release.manifests import WEB
from tests.release.service_project import API, ServiceProject

BUCKET = """
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: more%(number)d}
spec: {name: shop-more-%(number)d}
"""
STEPS = 7
MAX_FAILED_CALL = 25
Commit = tuple[int, int]
"""The versions of API and site that one commit describes."""


class RandomHistory:
    """A repository, its deploys, and what AWS then serves.  ``bad`` are versions whose probe fails."""

    def __init__(self, folder: Path, emulator: Emulator, seed: int) -> None:
        self.random = random.Random(seed)
        self.shop = ServiceProject(folder, emulator)
        self.shop.prove = self.probe
        self.shop.extra = WEB
        self.emulator = emulator
        self.commits: list[Commit] = []
        self.bad: set[tuple[str, int]] = set()
        self.tags: dict[str, int] = {}
        self.buckets = 0
        self.lost_images: set[int] = set()
        self.versions = {"api": 0, "site": 0}
        self.log: list[str] = []
        self.change("api", "site")
        assert self.deploy().status == "released"

    def probe(self, probes: tuple[Probe, ...], *_: object) -> tuple[ProbeResult, ...]:
        """Fail as the served versions do: the service is named if its own probe fails."""
        api, site = self.served()
        failing = {API for part, version in self.bad if (part, version) == ("api", api)}
        failing |= {"cdn.web" for part, version in self.bad if (part, version) == ("site", site)}
        return tuple(
            ProbeResult(Probe(handle, "host", "/"), handle not in failing, "500" if handle in failing else "")
            for handle in (API, "cdn.web")
        )

    def served(self) -> Commit:
        page = self.shop.clients.call("s3", "get_object", {"Bucket": "shop-web", "Key": "index.html"})["Body"].read()
        return self.tags[self.read_build()], int(page)

    def read_build(self) -> str:
        """The build that runs, as the service itself is told."""
        [summary] = self.shop.clients.call("apprunner", "list_services", {})["ServiceSummaryList"]
        described = self.shop.clients.call("apprunner", "describe_service", {"ServiceArn": summary["ServiceArn"]})
        configuration = described["Service"]["SourceConfiguration"]["ImageRepository"]["ImageConfiguration"]
        return str(configuration["RuntimeEnvironmentVariables"]["ORCHESTRATOR_RELEASE"])

    def change(self, *parts: str, bad: str = "") -> None:
        """Commit new versions of ``parts``; ``bad`` is the one that will fail."""
        for part in parts:
            self.versions[part] = max((*self.versions.values(), *(n for commit in self.commits for n in commit))) + 1
        if bad:
            self.bad.add((bad, self.versions[bad]))
        api, site = self.versions["api"], self.versions["site"]
        self.commits.append((api, site))
        self.log.append(f"commit {self.commits[-1]}{f', bad {bad}' if bad else ''}")
        (self.shop.folder / "dist").mkdir(exist_ok=True)
        (self.shop.folder / "dist" / "index.html").write_text(str(site))
        self.shop.write(version=api)
        stack = expand.build_stack(pipeline.validate(self.shop.folder, "prod"))
        self.tags[collect_artefacts(stack.components.values()).images[API].tag] = api

    def deploy(self) -> DeployResult:
        return self.shop.deploy()

    def note(self, result: DeployResult) -> None:
        """Add to the story how a step ended."""
        back = f", back: {result.rollback_result.cause or 'yes'}" if result.rollback_result else ""
        held = ", held" if result.held else ""
        self.log[-1] += f": {result.status}{held} ({result.cause or 'well'}{back}); served {self.served()}"

    def step(self) -> None:
        name = self.random.choice(
            ("commit", "commit", "bad commit", "bad commit", "fault", "add", "roll back", "roll back to", "lose image")
        )
        self.log.append(f"{name}:")
        try:
            getattr(self, f"step_{name.replace(' ', '_')}")()
        except (Problems, AwsError) as error:  # a refusal is an answer; what stands afterwards is checked
            self.log[-1] += f" refused: {error}"

    def pick_parts(self) -> list[str]:
        return self.random.choice((["api"], ["site"], ["api", "site"]))

    def step_commit(self) -> None:
        self.change(*self.pick_parts())
        self.note(self.deploy())

    def step_bad_commit(self) -> None:
        parts = self.pick_parts()
        self.change(*parts, bad=self.random.choice(parts))
        self.note(self.deploy())

    def step_fault(self) -> None:
        """AWS dies at some call of a deploy, and the next run finds what that left."""
        self.change(*self.pick_parts())
        self.emulator.crash_at(self.random.randint(1, MAX_FAILED_CALL), self.random.choice(("before", "after")))
        try:
            dying = real_stack.clients(attempts=1)
            candidate = self.shop.read_checkout()
            planned = pipeline.plan(candidate.desired, clients=self.shop.clients)
            with suppress(Exception):  # whatever a dying AWS leads to
                self.shop.make_deployment(dying).deploy(planned, candidate, lambda cause: None)
        finally:
            self.emulator.revive()
        self.note(self.deploy())

    def step_add(self) -> None:
        """A commit adds a bucket together with code that uses it; as often as not the code is bad."""
        self.buckets += 1
        self.shop.extra += BUCKET % {"number": self.buckets}
        self.change("api", bad=self.random.choice(("", "api")))
        self.note(self.deploy())

    def step_roll_back(self) -> None:
        self.note(self.shop.roll_back())

    def step_roll_back_to(self) -> None:
        release = self.random.choice(self.shop.ledger.releases)
        self.log[-1] += f" {release.number}"
        self.note(self.shop.roll_back(release.number))

    def step_lose_image(self) -> None:
        """Somebody deletes the image of an earlier release by hand."""
        current = self.shop.ledger.current_release
        assert current is not None
        running = current.vector.images[API].digest
        digests = {release.vector.images[API].digest for release in self.shop.ledger.releases} - {running}
        if digests:
            ids: list[Any] = [{"imageDigest": self.random.choice(sorted(digests))}]
            self.shop.clients.call("ecr", "batch_delete_image", {"repositoryName": "shop-api", "imageIds": ids})

    def check(self) -> None:
        served = self.served()
        story = "\n".join(self.log)
        assert served in self.commits, f"a mix that no commit described: {served}\n{story}"
        current = self.shop.ledger.current_release
        assert current is not None
        if current.is_complete:
            assert ("api", served[0]) not in self.bad, f"a bad API is served\n{story}"
            assert ("site", served[1]) not in self.bad, f"a bad site is served\n{story}"
        assert list(self.find_lost()) == [], story

    def find_lost(self) -> Iterator[str]:
        """Yield why the last proved release cannot come back, if nobody deleted its image."""
        proved = [release for release in self.shop.ledger.releases if release.result == "healthy"]
        release = proved[-1]
        for obstacle in rollback.find_obstacles(self.shop.ledger, release, self.shop.store, Reader(self.shop.clients)):
            yield f"release {release.number}: {obstacle.message}"

    def finish(self) -> None:
        """A good commit of everything always ends whatever came before, and can be left and come back to."""
        self.change("api", "site")
        self.log.append(f"last commit {self.commits[-1]}")
        result = self.deploy()
        story = "\n".join(self.log)
        assert result.status == "released", f"{result.cause}\n{story}"
        assert self.served() == self.commits[-1], story
        self.check()


def run_history(folder: Path, emulator: Emulator, seed: int) -> list[str]:
    history = RandomHistory(folder, emulator, seed)
    for _ in range(STEPS):
        history.step()
        history.check()
    history.finish()
    return history.log


@pytest.mark.slow
@pytest.mark.parametrize("seed", [3, 11])
def test_what_is_served_is_one_commit_and_can_come_back(tmp_path: Path, emulator: Emulator, seed: int) -> None:
    run_history(tmp_path, emulator, seed)


if __name__ == "__main__":
    for number in range(int(sys.argv[1]), int(sys.argv[2])):
        with tempfile.TemporaryDirectory() as name, emulated_aws() as running:
            try:
                sys.stdout.write("\n  ".join([str(number), *run_history(Path(name), running, number)]) + "\n")
            except Exception as error:  # noqa: BLE001 - the next seed is asked, too
                sys.stdout.write(f"{number}: {type(error).__name__}: {error}\n")
