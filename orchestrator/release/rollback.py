"""Choose a release to roll back to, and prepare it as the desired state for the pipeline.

A rollback restores all of a release, or parts of it and leaves the others.  Either way it ends with the target's
versions or the current ones: a failed rollback restores the current release.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from orchestrator.aws import Reader
from orchestrator.manifest import check
from orchestrator.planning.plan import PreparedPlan
from orchestrator.problems import Problem, Problems
from orchestrator.release import (
    Ledger,
    ManifestDocument,
    Release,
    live_versions,
    manifest_documents,
    pins,
    restorability,
    schema_versions,
)
from orchestrator.release.checkout import ReleaseCandidate
from orchestrator.release.ledger_store import LedgerStore
from orchestrator.release.manifest_documents import document_handle

PART_KINDS = {
    "images": "image",
    "site": "site",
    "sites": "site",
    "secrets": "secret",
    "model": "model",
    "models": "model",
}


class NoDifferenceError(Problems):
    """The release to roll back to does not differ from the current one."""


class RollbackTarget(Struct, frozen=True):
    """A rollback from ``current_release`` to ``release``, for ``parts`` (``image:HANDLE``).

    ``current_release`` is the newest attempt, ignoring unfinished rollbacks.  ``is_full`` is true if every differing
    part is included.  ``fallback`` is restored on failure; None if ``current_release`` failed.
    ``schemas`` are the schema versions that the databases have reached.
    """

    current_release: Release
    release: Release
    parts: frozenset[str]
    is_full: bool
    candidate: ReleaseCandidate
    fallback: ReleaseCandidate | None
    schemas: Mapping[str, int] = field(default_factory=dict)


def choose_release(ledger: Ledger, number: int | None) -> Release:
    """Return the release with ``number``; without one, the last healthy release that differs from the current one.

    An unfinished rollback keeps its target.  Raises Problems if there is no such release.
    """
    current_release = ledger.current_release
    if current_release is None:
        raise Problems.from_message(
            "cannot roll back: there are no releases yet", hint="deploy a release: orchestrator deploy"
        )
    if number is not None:
        requested_release = ledger.find(number)
        if requested_release is None:
            known_numbers = ", ".join(str(release.number) for release in ledger.releases)
            raise Problems.from_message(
                f"release {number} does not exist", hint=f"choose one of {known_numbers}; see: orchestrator releases"
            )
        return requested_release
    if candidates := list_candidates(ledger):
        return candidates[0]
    raise Problems.from_message(
        "no release to roll back to: every earlier release is incomplete, was rolled back itself, or is identical "
        f"to release {current_release.number}",
        hint="choose a release: orchestrator rollback --to NUMBER",
    )


def list_candidates(ledger: Ledger) -> tuple[Release, ...]:
    """Return the releases that a rollback without a number may restore, the best first: newest healthy, then others.

    A project without probes has no healthy release.
    """
    current_release = ledger.current_release
    if current_release is None:
        return ()
    if not current_release.is_complete and current_release.of is not None:
        interrupted_target = ledger.find(current_release.of)
        if interrupted_target is not None:
            return (interrupted_target,)  # continue the unfinished rollback
    pinned_numbers = {pin.left for pin in ledger.pins}
    earlier_releases = [
        release
        for release in reversed(ledger.releases)
        if release.number < current_release.number
        and release.is_complete
        and not (current_release.is_complete and release.vector == current_release.vector)
        and not {release.number, release.of} & pinned_numbers
    ]
    return tuple(sorted(earlier_releases, key=lambda release: release.result != "healthy"))


def choose_restorable(
    ledger: Ledger, store: LedgerStore, reader: Reader, part_words: Iterable[str] = ()
) -> tuple[Release, tuple[str, ...]]:
    """Return the release that a rollback without a number restores, and why better ones cannot be restored.

    Raises Problems, with every reason, if there is none.
    """
    choose_release(ledger, None)  # raises Problems if there is none
    reasons: list[str] = []
    for release in list_candidates(ledger):
        obstacles = find_obstacles(ledger, release, store, reader, part_words)
        if not obstacles:
            return release, tuple(reasons)
        reasons += [f"release {release.number} cannot be restored: {problem.message}" for problem in obstacles]
    raise Problems([Problem(reason, hint="list the releases: orchestrator releases") for reason in reasons])


def find_obstacles(
    ledger: Ledger, target: Release, store: LedgerStore, reader: Reader, part_words: Iterable[str] = ()
) -> tuple[Problem, ...]:
    """Return why a release or parts of it cannot be restored now; empty if they can.

    `releases`, the releases page and `rollback` itself all ask this.  Raises Problems if a part is unknown.
    """
    current_release, words = _release_to_leave(ledger), frozenset(part_words)
    differing_parts = _differing_parts(current_release, target, ledger)
    parts = _select_parts(words, differing_parts, current_release, target)
    live_models = current_release.vector.models
    missing = restorability.find_missing(ledger, target, store, reader, parts if words else None, live_models)
    schemas = schema_versions.read_schema_versions(ledger, store)
    return (*map(Problem, missing), *_schema_obstacles(schemas, target, ledger, parts))


def describe_lost(ledger: Ledger, store: LedgerStore, reader: Reader) -> tuple[str, ...]:
    """Return what a rollback would miss, before it is needed: of the current release, and of the one it takes first.

    A failed deploy returns to the one, `rollback` to the other.  Releases before them are in `releases`.
    """
    current_release = ledger.last_complete
    candidates = [release for release in list_candidates(ledger) if release is not current_release]
    return tuple(
        f"release {release.number} can no longer be restored: {problem.message}"
        for release in (*([current_release] if current_release else ()), *candidates[:1])
        for problem in find_obstacles(ledger, release, store, reader)
        if not problem.message.startswith(restorability.UNCHECKED_PREFIX)
    )


def prepare(ledger: Ledger, target: Release, part_words: Iterable[str], store: LedgerStore) -> RollbackTarget:
    """Prepare a rollback to ``target``; ``part_words`` limit it to components or kinds of parts.

    Raises NoDifferenceError if nothing of ``part_words`` differs, and Problems if a word is unknown, an artefact is
    missing or a database schema is incompatible.
    """
    assert ledger.current_release is not None  # choose_release checks this
    current_release = _release_to_leave(ledger)
    differing_parts = _differing_parts(current_release, target, ledger)
    chosen_parts = _select_parts(frozenset(part_words), differing_parts, current_release, target)
    if not chosen_parts and part_words:
        raise _no_difference(target, f" in {', '.join(sorted(part_words))}")
    schemas = schema_versions.read_schema_versions(ledger, store)
    if problems := list(_schema_obstacles(schemas, target, ledger, chosen_parts)):
        raise Problems(problems)
    fallback = _load_fallback(ledger, current_release, store)
    is_full = chosen_parts >= differing_parts
    if not is_full and fallback is None:
        raise Problems.from_message(
            f"cannot roll back parts: release {current_release.number} failed, so the other parts' state is unknown",
            hint=f"roll back completely: orchestrator rollback --to {target.number}",
        )
    if is_full or fallback is None:
        candidate = restorability.load_candidate(ledger, target, store)
    else:
        candidate = _merge_candidate(ledger, target, chosen_parts, fallback)
    return RollbackTarget(current_release, target, chosen_parts, is_full, candidate, fallback, schemas)


def observe(rollback_target: RollbackTarget, planned: PreparedPlan) -> RollbackTarget:
    """Return the rollback from what ``planned`` found live, which something else than a deploy may have changed.

    Raises NoDifferenceError if AWS already holds the target.
    """
    current_release, target = rollback_target.current_release, rollback_target.release
    if not current_release.is_complete or not rollback_target.is_full:
        return rollback_target
    if not rollback_target.parts and not planned.plan.pending_changes:
        raise _no_difference(target)
    vector = live_versions.observe_artefacts(rollback_target.candidate, planned.live, current_release.vector)
    kinds = (("image", vector.images, target.vector.images), ("site", vector.sites, target.vector.sites))
    parts = {
        f"{kind}:{handle}" for kind, live, wanted in kinds for handle in live if live[handle] != wanted.get(handle)
    }
    return replace(
        rollback_target, current_release=replace(current_release, vector=vector), parts=rollback_target.parts | parts
    )


def _no_difference(target: Release, scope_phrase: str = "") -> Problems:
    return NoDifferenceError.from_message(
        f"release {target.number} does not differ from the current release{scope_phrase}; there is nothing to do"
    )


def _release_to_leave(ledger: Ledger) -> Release:
    """Return the release to roll back from, ignoring unfinished rollbacks: those left the release before them."""
    finished_releases = (release for release in reversed(ledger.releases) if release.is_complete or release.of is None)
    return next(finished_releases, ledger.releases[-1])


def _merge_candidate(
    ledger: Ledger, target: Release, parts: frozenset[str], fallback: ReleaseCandidate
) -> ReleaseCandidate:
    """Return the current release with ``parts`` of an earlier release merged in."""
    store = fallback.store
    assert store is not None
    earlier_documents = {document_handle(document): document for document in ledger.documents_of(target)}
    merged_documents: dict[str, ManifestDocument] = dict(fallback.documents)
    for part in parts:
        kind, _, name = part.partition(":")
        if kind == "manifest":
            merged_documents.pop(name, None)
            merged_documents |= {name: earlier_documents[name]} if name in earlier_documents else {}
    manifest = check.check(
        manifest_documents.build_sources(merged_documents.values(), store.environment), store.environment
    )
    restored_artefacts = restorability.load_artefacts(target, manifest, store, parts)
    artefacts = restorability.merge_parts(restored_artefacts, fallback.artefacts, parts)
    return replace(
        fallback,
        desired=restorability.expand_retaining(manifest, artefacts, ledger),
        artefacts=artefacts,
        documents=merged_documents,
    )


def _load_fallback(ledger: Ledger, current_release: Release, store: LedgerStore) -> ReleaseCandidate | None:
    """Return the current release; None if it failed, or its site cannot be restored: that is no reason to keep it."""
    if not current_release.is_complete:
        return None
    try:
        return restorability.load_candidate(ledger, current_release, store)
    except Problems:
        return None


def _differing_parts(current_release: Release, target: Release, ledger: Ledger) -> set[str]:
    parts = {part for part, _ in pins.differing_parts(current_release, target, ledger)}
    return parts | set(_differing_models(current_release, target))


def _differing_models(current_release: Release, target: Release) -> Iterator[str]:
    for name, version in target.vector.models.items():
        if current_release.vector.models.get(name) != version:
            yield f"model:{name}"


def _select_parts(
    part_words: frozenset[str], differing_parts: set[str], current_release: Release, target: Release
) -> frozenset[str]:
    if not part_words:
        return frozenset(differing_parts)
    known_words = {*PART_KINDS, "manifests", *(name for part in differing_parts for name in _part_names(part))}
    vectors = (current_release.vector, target.vector)
    known_words |= {
        handle.partition(".")[2]
        for vector in vectors
        for versions in (vector.images, vector.sites, vector.secrets, vector.models)
        for handle in versions
    }
    unknown_words = sorted(part_words - known_words)
    if unknown_words:
        close_matches = difflib.get_close_matches(unknown_words[0], known_words, 1)
        hint = (
            f"did you mean {close_matches[0]}?" if close_matches else f"choose from: {', '.join(sorted(known_words))}"
        )
        raise Problems([Problem(f"unknown part `{word}` to roll back", hint=hint) for word in unknown_words])
    chosen = {part for part in differing_parts if part_words & {*_part_names(part), *_part_words(part)}}
    # The manifest of a secret says what its value is, and makes the services that use it start with it.
    secrets = {part.partition(":")[2] for part in chosen if part.startswith("secret:")}
    return frozenset(chosen | {f"manifest:{name}" for name in secrets} & differing_parts)


def _part_names(part: str) -> tuple[str, str]:
    name = part.partition(":")[2]
    return name, name.partition(".")[2]


def _part_words(part: str) -> set[str]:
    kind = part.partition(":")[0]
    return {word for word, word_kind in PART_KINDS.items() if word_kind == kind} | (
        {"manifests"} if kind == "manifest" else set()
    )


def _schema_obstacles(
    schemas: Mapping[str, int], target: Release, ledger: Ledger, chosen_parts: frozenset[str]
) -> Iterator[Problem]:
    """Yield each restored service that cannot run on the current schema of its database."""
    for document in ledger.documents_of(target):
        name, schema = document_handle(document), document.value.get("spec", {}).get("schema")
        database_version = schemas.get(name)
        if schema is None or database_version is None or not {f"image:{name}", f"manifest:{name}"} & chosen_parts:
            continue
        min_version, max_version = schema_versions.supported_versions(schema)
        if not min_version <= database_version <= max_version:
            message = (
                f"{name} of release {target.number} supports database schema {min_version} to {max_version}, "
                f"but the database is at {database_version}"
            )
            yield Problem(message, hint=_schema_hint(ledger, name, database_version))


def _schema_hint(ledger: Ledger, name: str, database_version: int) -> str:
    fitting_numbers = []
    for release in ledger.releases:
        document = {document_handle(item): item for item in ledger.documents_of(release)}.get(name)
        schema = document.value.get("spec", {}).get("schema") if document else None
        if schema and release.is_complete:
            min_version, max_version = schema_versions.supported_versions(schema)
            fitting_numbers += [str(release.number)] if min_version <= database_version <= max_version else []
    advice = (
        f"roll back to a compatible release ({', '.join(fitting_numbers)})"
        if fitting_numbers
        else "no release is compatible"
    )
    return f"{advice}, roll back only the other parts (--only site), or first restore the database to an older schema"
