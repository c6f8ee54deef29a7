"""An earlier release becomes what is wanted; the pipeline does the rest.

All of a release, or parts of it: the rest then stays as it stands.  Whatever the parts, the end is the old vector or
the new one: ``standing`` is what a failed rollback returns to.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.manifest import check, expand
from orchestrator.problems import Problem, Problems
from orchestrator.release import Ledger, Release, Written, manifest_documents, pins, restorability
from orchestrator.release.checkout import Wanted
from orchestrator.release.ledger_store import Store
from orchestrator.release.manifest_documents import handle

WORDS = {"images": "image", "site": "site", "sites": "site", "secrets": "secret", "model": "model", "models": "model"}


class Return(Struct, frozen=True):
    """One rollback: from ``standing`` to ``target``, for ``parts`` (``image:HANDLE``).

    ``standing`` is what is left: the newest attempt, but for rollbacks that never ended.  ``whole`` when no part is
    left out.  ``before`` is what to return to on failure; None where ``standing`` failed.
    """

    standing: Release
    target: Release
    parts: frozenset[str]
    whole: bool
    wanted: Wanted
    before: Wanted | None


def choose(ledger: Ledger, number: int | None) -> Release:
    """The release of ``number``, or the last one before the current that was proved and is not the same.

    A rollback that never ended has its own target still.  Raises Problems.
    """
    standing = ledger.standing
    if standing is None:
        raise Problems.one("there is no release yet, so there is nothing to go back to", hint="orchestrator deploy")
    if number is not None:
        found = ledger.find(number)
        if found is None:
            known = ", ".join(str(release.number) for release in ledger.releases)
            raise Problems.one(f"there is no release {number}", hint=f"there are {known}; see: orchestrator releases")
        return found
    if not standing.is_whole and standing.of is not None and (begun := ledger.find(standing.of)) is not None:
        return begun  # a rollback that never ended goes on
    refused = {pin.left for pin in ledger.pins}
    earlier = [
        release
        for release in reversed(ledger.releases)
        if release.number < standing.number
        and release.is_whole
        and release.vector != standing.vector
        and not {release.number, release.of} & refused
    ]
    # What has nothing to ask is never proved: then the last that AWS held whole has to do.
    proved = [release for release in earlier if release.result == "healthy"]
    if proved or earlier:
        return (proved or earlier)[0]
    raise Problems.one(
        f"no earlier release is whole, was not rolled back itself, and differs from release {standing.number}",
        hint="name one: orchestrator rollback --to NUMBER",
    )


def prepare(ledger: Ledger, target: Release, words: Iterable[str], store: Store) -> Return:
    """What going back to ``target`` means; ``words`` limit it to components or kinds of parts.

    Raises Problems: unknown words, nothing that differs, what cannot come back, a schema that does not fit.
    """
    assert ledger.standing is not None  # ``choose`` has seen to it
    standing = _left(ledger)
    differing = {part for part, _ in pins.parts(standing, target, ledger)} | set(_models(standing, target))
    chosen = _chosen(frozenset(words), differing, standing, target)
    if not chosen and (words or ledger.standing.is_whole):
        what = f"in {', '.join(sorted(words))} " if words else ""
        raise Problems.one(f"release {target.number} does not differ {what}from what stands; there is nothing to do")
    _fit(standing, target, ledger, chosen)
    before = None if not standing.is_whole else restorability.wanted_of(ledger, standing, store)
    whole = chosen >= differing
    if not whole and before is None:
        raise Problems.one(
            f"release {standing.number} failed half-way: what stands is no release of which parts could be kept",
            hint=f"go back whole: orchestrator rollback --to {target.number}",
        )
    if whole or before is None:
        wanted = restorability.wanted_of(ledger, target, store)
    else:
        wanted = _mixed(ledger, target, chosen, before)
    return Return(standing, target, chosen, whole, wanted, before)


def _left(ledger: Ledger) -> Release:
    """What is gone back from: a rollback that never ended left what came before it, as it does itself."""
    ended = (one for one in reversed(ledger.releases) if one.is_whole or one.of is None)
    return next(ended, ledger.releases[-1])


def _mixed(ledger: Ledger, target: Release, parts: frozenset[str], before: Wanted) -> Wanted:
    """What stands, with some parts of an earlier release."""
    store = before.store
    assert store is not None
    earlier = {handle(one): one for one in ledger.written(target)}
    mixed: dict[str, Written] = dict(before.documents)
    for part in parts:
        kind, _, name = part.partition(":")
        if kind == "manifest":
            mixed.pop(name, None)
            mixed |= {name: earlier[name]} if name in earlier else {}
    manifest = check.check(manifest_documents.sources(mixed.values(), store.environment), store.environment)
    shipped = restorability.artefacts_of(target, manifest, store)
    artefacts = restorability.only(shipped, before.artefacts, parts)
    return replace(before, desired=expand.expand(manifest, artefacts), artefacts=artefacts, documents=mixed)


def _models(standing: Release, target: Release) -> Iterator[str]:
    for name, version in target.vector.models.items():
        if standing.vector.models.get(name) != version:
            yield f"model:{name}"


def _chosen(words: frozenset[str], differing: set[str], standing: Release, target: Release) -> frozenset[str]:
    if not words:
        return frozenset(differing)
    known = {*WORDS, "manifests", *(name for part in differing for name in _names(part))}
    vectors = (standing.vector, target.vector)
    known |= {n.partition(".")[2] for v in vectors for m in (v.images, v.sites, v.secrets, v.models) for n in m}
    strangers = sorted(words - known)
    if strangers:
        close = difflib.get_close_matches(strangers[0], known, 1)
        hint = f"did you mean {close[0]}?" if close else f"what there is: {', '.join(sorted(known))}"
        raise Problems([Problem(f"there is nothing called {word} to go back", hint=hint) for word in strangers])
    return frozenset(part for part in differing if words & {*_names(part), *_kinds(part)})


def _names(part: str) -> tuple[str, str]:
    name = part.partition(":")[2]
    return name, name.partition(".")[2]


def _kinds(part: str) -> set[str]:
    kind = part.partition(":")[0]
    return {word for word, meant in WORDS.items() if meant == kind} | ({"manifests"} if kind == "manifest" else set())


def _fit(standing: Release, target: Release, ledger: Ledger, chosen: frozenset[str]) -> None:
    """Refuse code that cannot run on the database's schema of today."""
    problems = []
    for document in ledger.written(target):
        name, schema = handle(document), document.value.get("spec", {}).get("schema")
        reached = standing.vector.schemas.get(name)
        if schema is None or reached is None or not {f"image:{name}", f"manifest:{name}"} & chosen:
            continue
        least, most = int(schema.get("runsOn", {}).get("from", schema["version"])), _most(schema)
        if not least <= reached <= most:
            message = (
                f"{name} of release {target.number} runs on database schema {least} to {most}, and the database is at "
                f"{reached}; nothing was done"
            )
            hint = _choices(ledger, name, reached)
            problems.append(Problem(message, hint=hint))
    if problems:
        raise Problems(problems)


def _most(schema: dict[str, object]) -> int:
    runs_on = schema.get("runsOn") or {}
    assert isinstance(runs_on, dict)
    return int(runs_on.get("to", schema["version"]))


def _choices(ledger: Ledger, name: str, reached: int) -> str:
    fitting = []
    for release in ledger.releases:
        found = {handle(one): one for one in ledger.written(release)}.get(name)
        schema = found.value.get("spec", {}).get("schema") if found else None
        if schema and release.is_whole:
            least = int((schema.get("runsOn") or {}).get("from", schema["version"]))
            fitting += [str(release.number)] if least <= reached <= _most(schema) else []
    those = f"go back to one that fits ({', '.join(fitting)})" if fitting else "no release fits"
    return f"{those}; go back with the other parts only (--only site); or restore the database to an older schema first"
