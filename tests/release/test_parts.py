"""What a rollback is about, from the ledger alone: which parts, held to the database's schema.  No AWS."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.artefacts import Artefacts, Image
from orchestrator.planning import pipeline
from orchestrator.problems import Problems
from orchestrator.release import ImageReference, Ledger, Pin, Release, Vector, manifest_documents, pins, rollback
from orchestrator.release.ledger_store import LedgerStore
from orchestrator.render import release_list
from orchestrator.render.style import Style
from tests.release.manifests import PROJECT, SECRET

SERVICE = """
---
apiVersion: orchestrator/v1
kind: ContainerService
metadata: {name: api}
spec:
  image: {repository: shop-api, build: {context: .}}
  environment: {COLOUR: %s}%s
"""
MANIFESTS = PROJECT + SECRET + SERVICE
API = "containerservice.api"


class Nobody:
    """An AWS that is not to be asked."""

    def call(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> Any:
        raise AssertionError(operation)

    def pages(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> Any:
        raise AssertionError(operation)


STORE = LedgerStore(Nobody(), "shop-releases", "prod")


def history(folder: Path, *schemas: str, colours: Iterable[str] = itertools.repeat("red")) -> Ledger:
    """Releases one after the other, each with a build of its own; ``schemas`` as the manifest writes them."""
    ledger, reached = Ledger(), 0
    (folder / "Dockerfile").write_text("FROM scratch\n")
    for number, (schema, colour) in enumerate(zip(schemas, colours, strict=False), start=1):
        (folder / "shop.yaml").write_text(MANIFESTS % (colour, f"\n  schema: {schema}" if schema else ""))
        written = manifest_documents.from_manifest(pipeline.validate(folder, "prod"))
        wanted = written[API].value["spec"].get("schema", {})
        reached = max(reached, int(wanted.get("version", 0)))
        vector = Vector(
            manifest_documents.manifests_digest(written.values()),
            {API: ImageReference(f"tag{number}", f"sha256:{number:064d}")},
            secrets={"secret.app": "version"},
            schemas={API: reached} if reached else {},
        )
        made = Release(number, f"2026-01-0{number}T00:00:00Z", "ana", "", vector, "healthy")
        ledger = manifest_documents.add_documents(replace(ledger, releases=(*ledger.releases, made)), written)
    return ledger


def back(ledger: Ledger, number: int, *words: str) -> rollback.RollbackTarget:
    return rollback.prepare(ledger, rollback.choose_release(ledger, number), words, STORE)


def test_code_that_cannot_run_on_todays_schema_does_not_come_back(tmp_path: Path) -> None:
    """With the choices: releases that fit, the other parts, an older database."""
    ledger = history(tmp_path, "{version: 1}", "{version: 2, runsOn: {from: 2, to: 3}}", "{version: 3}")
    with pytest.raises(Problems) as refused:
        back(ledger, 1)

    [problem] = refused.value.problems
    assert problem.message == (f"{API} of release 1 supports database schema 1 to 1, but the database is at 3")
    assert problem.hint is not None
    assert problem.hint.startswith(
        "roll back to a compatible release (2, 3), roll back only the other parts (--only site)"
    )
    assert back(ledger, 2).release.number == 2


def test_a_schema_holds_back_its_service_alone(tmp_path: Path) -> None:
    """Other parts may go back; and the database stays at the schema that it reached."""
    ledger = history(tmp_path, "{version: 1}", "{version: 3}", colours=["red", "blue"])
    first = replace(ledger.releases[0], vector=replace(ledger.releases[0].vector, secrets={"secret.app": "older"}))
    ledger = replace(ledger, releases=(first, ledger.releases[1]))

    assert set(back(ledger, 1, "secrets").parts) == {"secret:secret.app"}
    with pytest.raises(Problems, match="the database is at 3"):
        back(ledger, 1, "api")


@pytest.mark.parametrize(
    ("words", "parts", "whole"),
    [
        ((), {f"image:{API}", f"manifest:{API}"}, True),
        (("images",), {f"image:{API}"}, False),
        (("manifests",), {f"manifest:{API}"}, False),
        (("api",), {f"image:{API}", f"manifest:{API}"}, True),
        ((API,), {f"image:{API}", f"manifest:{API}"}, True),
    ],
)
def test_only_what_is_named(tmp_path: Path, words: tuple[str, ...], parts: set[str], whole: bool) -> None:
    """The rest is wanted as it stands."""
    ledger = history(tmp_path, "", "", colours=["red", "blue"])
    way = back(ledger, 1, *words)
    (service,) = (one for one in way.candidate.desired.components if one.handle == API)
    image = way.candidate.artefacts.images[API]

    assert (set(way.parts), way.is_full) == (parts, whole)
    assert image.tag == ("tag1" if f"image:{API}" in parts else "tag2")
    assert service.spec["environment"]["COLOUR"] == ("red" if f"manifest:{API}" in parts else "blue")


def test_an_image_that_was_left_is_never_built_again(tmp_path: Path) -> None:
    """The checkout still builds it: what is deployed is what was gone back to, by digest, until a file changes."""
    ledger = history(tmp_path, "", "")
    left, good = ledger.releases[1], ledger.releases[0]
    made = pins.create_pins(left, good, ledger, [f"image:{API}"], "", "ana", "slow")
    assert made == (Pin(f"image:{API}", "tag2", 1, 2, "", "ana", "slow"),)
    pinned = replace(ledger, pins=made)

    documents = {manifest_documents.document_handle(item): item for item in ledger.documents_of(good)}
    held = pins.resolve(pinned, documents, Artefacts(images={API: Image("tag2", {"context": "."})}))
    lifted = pins.resolve(pinned, documents, Artefacts(images={API: Image("tag3", {"context": "."})}))

    assert (held.held, held.lifted, held.undecided) == (made, (), ())
    assert "(slow)" in held.notes[0]
    assert f"orchestrator unpin image:{API}" in held.notes[0]
    assert (lifted.held, lifted.lifted) == ((), made)


def test_what_one_rollback_holds_back_is_told_with_its_cause_once(tmp_path: Path) -> None:
    """In the plan and in the list of releases; what another one holds is told by itself."""
    ledger = history(tmp_path, "", "", "", colours=["red", "blue", "green"])
    of = [(f"image:{API}", 1, 3, "slow"), (f"manifest:{API}", 1, 3, "slow"), ("secret:secret.app", 2, 3, "leaked")]
    held = tuple(Pin(part, "x", release, left, "", "ana", why) for part, release, left, why in of)
    first, second = pins.PinResolution(held).notes
    shown = release_list.render_text(release_list.build_rows(ledger, {}), held, Style(), "orchestrator rollback")

    assert (first.count("slow"), shown.count("slow"), shown.count("leaked")) == (1, 1, 1)
    assert first.endswith(f"orchestrator unpin image:{API} manifest:{API}")
    assert f"image:{API}, manifest:{API} of release 3: release 1 is used instead" in shown
    assert second.startswith("Release 3 was rolled back (leaked)")
