"""What was rolled back together is held back together, over random histories of commits, failures and fixes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator.artefacts import Artefacts, Image, Site
from orchestrator.emulator import Emulator
from orchestrator.problems import ExitCode, Problems
from orchestrator.release import ImageReference, Ledger, ManifestDocument, Release, Vector, manifest_documents, pins
from orchestrator.release.probe import Probe, ProbeResult
from orchestrator.render import deploy_view
from orchestrator.render.style import Style
from tests.release.manifests import WEB
from tests.release.service_project import ServiceProject

API, SITE, CDN, FILES = "containerservice.api", "bucket.web", "cdn.web", "bucket.files"
SERVED = (API, SITE, CDN)
Commit = Mapping[str, int]
"""The content of each component, as a number."""


def build_documents(commit: Commit) -> dict[str, ManifestDocument]:
    kinds: Mapping[str, tuple[str, dict[str, Any]]] = {
        API: ("ContainerService", {"n": commit[API]}),
        SITE: ("Bucket", {"spa": {"dir": "dist"}}),
        CDN: ("Cdn", {"n": commit[CDN]}),
        FILES: ("Bucket", {"n": commit[FILES]}),
    }
    return {
        handle: ManifestDocument("f", {"kind": kind, "metadata": {"name": handle.partition(".")[2]}, "spec": spec})
        for handle, (kind, spec) in kinds.items()
    }


class History:
    """A repository whose commits are deployed; ``bad`` contents fail once they are served."""

    def __init__(self) -> None:
        self.commits: list[Commit] = [dict.fromkeys((*SERVED, FILES), 0)]
        self.bad: set[tuple[str, int]] = set()
        self.refused: set[tuple[str, int]] = set()
        self.ledger = Ledger()
        self.contents = 0
        self.record(self.commits[0], "healthy")

    def record(self, commit: Commit, result: Any, of: int | None = None) -> Release:
        documents = build_documents(commit)
        vector = Vector(
            manifest_documents.manifests_digest(documents.values()),
            {API: ImageReference(f"tag{commit[API]}", f"sha256:{commit[API]}")},
            {SITE: f"site{commit[SITE]}"},
        )
        release = Release(self.ledger.next_number, "", "ana", "", vector, result, of=of)
        ledger = manifest_documents.add_documents(self.ledger, documents)
        self.ledger = replace(ledger, releases=(*ledger.releases, release))
        return release

    def served(self) -> Commit:
        """Return what the newest complete release serves."""
        release = self.ledger.last_complete
        assert release is not None
        numbers = {
            manifest_documents.document_handle(item): item.value["spec"].get("n", 0)
            for item in self.ledger.documents_of(release)
        }
        assert release.vector.images[API].tag == f"tag{numbers[API]}", "an image is served with the manifest of another"
        return {**numbers, SITE: int(release.vector.sites[SITE].removeprefix("site"))}

    def resolve(self, commit: Commit) -> pins.PinResolution:
        artefacts = Artefacts({API: Image(f"tag{commit[API]}")}, {SITE: Site(f"site{commit[SITE]}", {})})
        return pins.resolve(self.ledger, build_documents(commit), artefacts)

    def deploy(self, commit: Commit, *, is_blame_known: bool) -> pins.PinResolution:
        """Deploy as the product does: hold, stop, or ship and roll back what fails."""
        resolution = self.resolve(commit)
        if resolution.undecided:
            return resolution
        if resolution.held:
            self.record(self.hold(commit, resolution), "healthy")
            return resolution
        faults = {item for item in commit.items() if item in self.bad}
        if not faults:
            self.ledger = replace(self.ledger, pins=())
            self.record(commit, "healthy")
            return resolution
        base = self.ledger.last_complete
        assert base is not None
        before = self.served()
        left = self.record(commit, "failed")
        restored = self.record(before, "healthy", of=base.number)
        parts = [part for part, _ in pins.differing_parts(left, restored, self.ledger)]
        at_fault = {handle for handle, _ in faults} if is_blame_known else set()
        made = pins.create_pins(left, base, self.ledger, parts, "", "ana", "", at_fault)
        self.ledger = replace(self.ledger, pins=pins.merge_pins(self.ledger, made))
        self.refused |= faults
        return resolution

    def hold(self, commit: Commit, resolution: pins.PinResolution) -> Commit:
        base = self.ledger.last_complete
        assert base is not None
        replaced = pins.hold_documents(self.ledger, base, resolution.held, build_documents(commit))
        before = self.served()
        numbers = {handle: commit[handle] if handle not in replaced else before[handle] for handle in (API, CDN, FILES)}
        return {**numbers, SITE: before[SITE]}


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_history_serves_a_mix_or_brings_a_bad_part_back(data: st.DataObject) -> None:
    """(a) what is served is one commit's; (b) nothing bad returns; (c) a fix brings all; (d) else a person decides."""
    history = History()
    for _ in range(data.draw(st.integers(1, 8), "commits")):
        last = history.commits[-1]
        changed = data.draw(st.sets(st.sampled_from((*SERVED, FILES)), min_size=1), "changed")
        history.contents += 1
        commit = {handle: history.contents if handle in changed else last[handle] for handle in last}
        bad = data.draw(st.sets(st.sampled_from(sorted(changed & set(SERVED)))), "bad") if changed & set(SERVED) else ()
        history.bad |= {(handle, commit[handle]) for handle in bad}
        history.commits.append(commit)
        is_blame_known = data.draw(st.booleans(), "blame is known")
        suspects = [pins.list_suspects(group) for group in pins.group_by_rollback(history.ledger.pins)]
        returns_bad = bool(history.refused & set(commit.items()))

        resolution = history.deploy(commit, is_blame_known=is_blame_known)

        served = history.served()
        combinations = {tuple(item[handle] for handle in SERVED) for item in history.commits}
        assert tuple(served[handle] for handle in SERVED) in combinations
        assert not history.refused & set(served.items())
        assert not history.bad & set(served.items())
        if returns_bad:
            assert resolution.held
        if not resolution.held and not history.bad & set(commit.items()):
            assert served == commit, "everything of the commit is there"
        if resolution.undecided:
            assert any(len(group) > 1 for group in suspects)
            with pytest.raises(Problems) as stopped:
                resolution.raise_if_undecided()
            assert stopped.value.exit_code == ExitCode.UNREVIEWED
            hints = [problem.hint or "" for problem in stopped.value.problems]
            assert all("orchestrator unpin " in hint and "orchestrator blame " in hint for hint in hints)
            guilty = {handle for handle, _ in history.refused & set(commit.items())}
            if len(guilty) == 1:  # whoever knows which part is at fault says so, and is not asked again about it
                history.ledger = replace(history.ledger, pins=pins.blame(history.ledger.pins, guilty))
                asked_again = {pin.part.partition(":")[2] for pin in history.resolve(commit).undecided}
                assert not guilty & asked_again
    # the fix of every component that may be at fault
    history.contents += 1
    fix = {**history.commits[-1], **dict.fromkeys((*SERVED, FILES), history.contents)}
    history.commits.append(fix)
    assert history.resolve(fix).held == ()
    history.deploy(fix, is_blame_known=True)
    assert history.served() == fix


def fail_next(shop: ServiceProject, handle: str) -> None:
    """Let the next probes of a component fail once."""
    failed = ProbeResult(Probe(handle, "shop.example", "/health"), False, "status 500, expected 200", 1.0)
    remaining = [(failed,)]
    shop.prove = lambda *_: remaining.pop() if remaining else ()


@pytest.fixture
def shop(tmp_path: Path, emulator: Emulator) -> ServiceProject:
    """Release 1 of a service and a site."""
    project = ServiceProject(tmp_path, emulator)
    project.extra = WEB
    build_site(project, "site 1")
    project.deploy(version="1")
    return project


def build_site(shop: ServiceProject, text: str) -> None:
    (shop.folder / "dist").mkdir(exist_ok=True)
    (shop.folder / "dist" / "index.html").write_text(text)


def read_served(shop: ServiceProject) -> tuple[str, str]:
    page = shop.clients.call("s3", "get_object", {"Bucket": "shop-web", "Key": "index.html"})["Body"].read()
    return shop.read_service()[0], page.decode()


def test_the_site_of_a_rolled_back_commit_waits_for_its_api(shop: ServiceProject) -> None:
    """An edit of the page after an API that failed once shipped the new page onto the old API, as "release 4"."""
    before = read_served(shop)
    build_site(shop, "site 2")
    fail_next(shop, API)
    assert shop.deploy(version="2").status == "returned"

    build_site(shop, "site 2, edited")
    held = shop.deploy(version="2", versioning="true")

    assert (held.status, read_served(shop), shop.is_versioned()) == ("released", before, True)
    view = deploy_view.build_view(held, 1.0, retry_command="again", list_command="look")
    assert deploy_view.render_text(view, Style()).startswith("Pinned: Release 2 was rolled back (containerservice.api")
    assert "in 1.0s, except what is pinned; " in view.headline
    assert shop.deploy(version="3").status == "released"
    assert read_served(shop)[1] == "site 2, edited"
    assert shop.ledger.pins == ()


def test_without_a_culprit_a_part_of_a_fix_stops_with_the_choices(shop: ServiceProject) -> None:
    """The page failed, which says nothing of who is to blame; an edit of the page alone may be the fix, or not."""
    from orchestrator.cli.main import main

    before = read_served(shop)
    build_site(shop, "site 2")
    fail_next(shop, "cdn.web")
    assert shop.deploy(version="2").status == "returned"
    build_site(shop, "site 2, edited")
    command = ["-f", str(shop.folder), "-e", "prod"]

    assert main(["deploy", *command, "--auto-approve"]) == ExitCode.UNREVIEWED
    assert read_served(shop) == before
    assert main(["blame", API, *command]) == ExitCode.OK
    assert main(["deploy", *command, "--auto-approve"]) == ExitCode.PINNED
    assert read_served(shop) == before
    assert main(["blame", "bucket.nothing", *command]) == ExitCode.FAILED

    assert main(["unpin", f"image:{API}", *command]) == ExitCode.OK
    assert shop.ledger.pins == (), "what is held back together is let go together"
    assert main(["deploy", *command, "--auto-approve"]) == ExitCode.OK
    assert read_served(shop)[1] == "site 2, edited"
