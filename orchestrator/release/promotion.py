"""Promote what another environment has proved: its images, sites and models, by the same digests.

The manifests and the database schema are those of the checkout.  Nothing is built, except for components that the other
environment does not have.  Without a release to promote, what is current stays, and only the manifests follow the
checkout.  While a rollback holds, only a promotion that somebody asks for goes ahead.
API: S3 GetObject, HeadObject and ListObjectsV2, ECR BatchGetImage.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.artefacts import Artefacts, Image, ModelOrigin, SiteOrigin
from orchestrator.aws import Reader
from orchestrator.manifest import expand, promotion_source
from orchestrator.manifest.check import Manifest
from orchestrator.problems import Problem, Problems
from orchestrator.quantities import format_count
from orchestrator.release import Ledger, Release, live_versions, promotion_choice, restorability, shipped_commits
from orchestrator.release.live_parts import find_artefact_commit
from orchestrator.release.manifest_documents import document_handle
from orchestrator.release.promotion_choice import Choice, PromotionRules, format_duration
from orchestrator.release.schema_versions import supported_versions
from orchestrator.resources.s3_site.live_site import ARCHIVE_PREFIX
from orchestrator.vocabulary import Component

if TYPE_CHECKING:
    from orchestrator.aws import Clients

MAX_NAMED_COMMITS: Final = 10
MODEL_FOLDERS: Final = ("ml-models", "ml-training")
_NOT_FOUND_CODES: Final = ("NoSuchBucket", "404")


class PromotionRequest(Struct, frozen=True):
    """A promotion that somebody asks for: from which environment, which release (None: the newest that may be).

    ``source`` "" is the one that the Project names.  ``skips_soak``: whether it does not have to wait; everything else
    is checked.
    """

    source: str
    release: int | None = None
    skips_soak: bool = False


class Promotion(Struct, frozen=True):
    """What an environment gets from another: ``artefacts`` of the components that both have.

    ``release`` is what is promoted now; None if what is current stays.  ``origin`` is the release that the artefacts
    are from, such as ``staging/12``.  ``is_held``: a rollback holds everything that is served.
    """

    source: str
    artefacts: Artefacts
    handles: frozenset[str]
    release: Release | None = None
    origin: str = ""
    notes: tuple[str, ...] = ()
    is_held: bool = False


class NothingToPromoteError(Problems):
    """The other environment has proved nothing yet that this one could run, so there is nothing to deploy."""


def find_rules(manifest: Manifest, request: PromotionRequest | None = None) -> PromotionRules | None:
    """Return the rules of the Project, for the source of ``request`` if there is one; None if nothing is promoted.

    Raises Problems if ``request`` names no source and the Project neither.
    """
    declared = manifest.project.spec.get("promotion")
    rules = promotion_choice.read_rules(declared) if declared else None
    if request is None:
        return rules
    if rules is None and not request.source:
        environment = manifest.environment
        hint = f"pass --from, or set `promotion: {{from: NAME}}` for the Project in environments/{environment}.yaml"
        message = f"the Project does not set the environment that {environment} gets its releases from"
        raise Problems.from_message(message, where=manifest.project.where, hint=hint)
    if rules is None or (request.source and rules.source != request.source):
        rules = PromotionRules(request.source)
    return replace(rules, soak=timedelta()) if request.skips_soak else rules


def list_own_components(manifest: Manifest, rules: PromotionRules | None) -> list[Component]:
    """Return the components whose artefacts are built here: all without promotion, else what the source lacks.

    Raises Problems if nothing can be promoted from the source.
    """
    components = list(expand.build_stack(manifest).components.values())
    if rules is None:
        return components
    source_manifest = promotion_source.check_source(manifest, rules.source)
    shared = _shared_handles(components, expand.build_stack(source_manifest).components)
    return [component for component in components if component.handle not in shared]


def list_built_components(manifest: Manifest, request: PromotionRequest | None = None) -> list[Component]:
    """Return the components whose artefacts are built from the checkout, by what the Project or ``request`` promotes.

    Raises Problems if nothing can be promoted from the source.
    """
    return list_own_components(manifest, find_rules(manifest, request))


def select(
    manifest: Manifest,
    ledger: Ledger,
    clients: Clients,
    rules: PromotionRules,
    request: PromotionRequest | None = None,
    *,
    is_promoting: bool = True,
    now: datetime | None = None,
) -> Promotion:
    """Return what this environment gets from its source; only what it has already unless ``is_promoting``.

    Raises Problems if what ``request`` asks for is not possible, NothingToPromoteError if there is nothing to deploy.
    """
    source_manifest = promotion_source.check_source(manifest, rules.source)
    selection = _Selection(manifest, source_manifest, ledger, clients, rules, now or datetime.now(UTC))
    return selection.run(request) if is_promoting else selection.keep("")


class _Selection:
    """One look at the source of an environment."""

    def __init__(
        self,
        manifest: Manifest,
        source_manifest: Manifest,
        ledger: Ledger,
        clients: Clients,
        rules: PromotionRules,
        now: datetime,
    ) -> None:
        from orchestrator.release import checkout

        self._manifest, self._ledger, self._clients, self._rules, self._now = manifest, ledger, clients, rules, now
        self._components = list(expand.build_stack(manifest).components.values())
        stack = expand.build_stack(source_manifest)
        self._handles = _shared_handles(self._components, stack.components)
        self._store = checkout.require_store(source_manifest, clients)
        self._source = self._store.read()

    def run(self, request: PromotionRequest | None) -> Promotion:
        if request is None:
            return self._follow()
        choice = self._choose_requested(request)
        if choice.release is None:
            raise Problems([Problem(reason, hint=self._hint()) for reason in choice.reasons])
        if obstacles := self._find_obstacles(choice.release):
            raise Problems([Problem(obstacle, hint=self._hint()) for obstacle in obstacles])
        return self._promote(choice)

    def _choose_requested(self, request: PromotionRequest) -> Choice:
        if request.release is not None:
            return promotion_choice.choose_number(self._source, request.release, self._rules, self._now)
        return promotion_choice.choose_newest(self._source, self._rules, self._now)

    def _follow(self) -> Promotion:
        """Return what a deploy of the main branch promotes; what is current stays if that is nothing."""
        source = self._rules.source
        if self._ledger.pins:
            pin = self._ledger.pins[-1]
            reason = f" ({pin.reason})" if pin.reason else ""
            return self.keep(
                f"release {pin.left} was rolled back{reason}, so promotions are paused. {self._hint()}", is_held=True
            )
        if not self._rules.is_automatic:
            return self.keep(f"`promotion.automatic` is false. {self._hint()}")
        promoted = self._last_promoted()
        choice = promotion_choice.choose_newest(self._source, self._rules, self._now, promoted)
        if choice.release is None:
            newest = f"release {promoted} of {source} is deployed already" if promoted else ""
            return self.keep("; ".join(choice.reasons) or newest)
        if obstacles := self._find_obstacles(choice.release):
            return self.keep("; ".join(obstacles))
        return self._promote(choice)

    def _last_promoted(self) -> int:
        """Return the number of the source's release that is current here, or 0."""
        release = self._ledger.last_complete
        while release is not None and release.of is not None:
            release = self._ledger.find(release.of)
        source, _, number = (release.promoted_from if release else "").partition("/")
        return int(number) if source == self._rules.source else 0

    def _promote(self, choice: Choice) -> Promotion:
        release = choice.release
        assert release is not None
        source = self._rules.source
        artefacts, notes = self._load(release)
        duration = format_duration(choice.healthy_for)
        parts = [*(f"image of {handle}" for handle in artefacts.images), *(f"site of {one}" for one in artefacts.sites)]
        parts += [f"model of {handle}" for handle in artefacts.models]
        state = f"{'proved' if release.result == 'healthy' else 'deployed'} {duration} ago"
        headline = f"Promotes release {release.number} of {source} ({state}): {', '.join(parts) or 'nothing'}."
        lines = (headline, *self._describe_commits(release), *notes)
        return Promotion(source, artefacts, self._handles, release, f"{source}/{release.number}", lines)

    def keep(self, reason: str, *, is_held: bool = False) -> Promotion:
        """Return what is current here, and the reason as a note.

        Raises NothingToPromoteError if nothing is current, or if it does not fit.
        """
        source, base = self._rules.source, self._ledger.last_complete
        if base is None:
            message = f"nothing to deploy yet: {reason or f'nothing was promoted from {source}'}"
            raise NothingToPromoteError([Problem(message, hint=self._hint())])
        artefacts = self._load_current(base)
        obstacles = [*self._find_missing_parts(artefacts), *self._find_schema_obstacles(self._ledger, base)]
        if obstacles and not is_held:
            message = f"{'; '.join(obstacles)}; nothing is promoted: {reason}"
            raise NothingToPromoteError([Problem(message, hint=self._hint())])
        notes = (f"Nothing was promoted from {source}: {reason.rstrip('.')}.",) if reason else ()
        return Promotion(source, artefacts, self._handles, None, base.promoted_from, notes, is_held)

    def _load_current(self, base: Release) -> Artefacts:
        from orchestrator.release import checkout

        store = checkout.require_store(self._manifest, self._clients)
        current = restorability.load_artefacts(base, self._manifest, store)
        return replace(_only(current, self._handles), secrets={}, models={})

    def _load(self, release: Release) -> tuple[Artefacts, tuple[str, ...]]:
        """Return the artefacts of the source's release with where they are, and notes about what stays."""
        earlier = restorability.load_manifest(self._source, release, self._rules.source)
        stack = expand.build_stack(earlier)
        loaded = _only(restorability.load_artefacts(release, earlier, self._store), self._handles)
        images = {
            handle: replace(image, origin=str(stack.components[handle].spec["image"]["repository"]))
            for handle, image in loaded.images.items()
        }
        archived = self._list_hashes(self._store.bucket) if loaded.sites else frozenset()
        names = {
            handle: str(exports["name"]) for handle, exports in stack.exports_by_handle.items() if "name" in exports
        }
        origins = {
            handle: SiteOrigin(
                names[handle],
                self._store.bucket,
                archived,
                stack.components[handle].spec["encryption"] == "AES256",
            )
            for handle in loaded.sites
        }
        models, model_origins, notes = self._load_models(loaded.models, names)
        return (
            replace(
                loaded,
                images=images,
                site_origins=origins,
                secrets={},
                models=models,
                model_origins=model_origins,
            ),
            notes,
        )

    def _load_models(
        self, versions: Mapping[str, str], buckets: Mapping[str, str]
    ) -> tuple[dict[str, str], dict[str, ModelOrigin], tuple[str, ...]]:
        """Return the models to promote; one that was uploaded here directly stays."""
        proved_versions = {version for release in self._source.releases for version in release.vector.models.values()}
        own_names = expand.build_stack(self._manifest).exports_by_handle
        models, origins, notes = {}, {}, []
        for handle, version in versions.items():
            pointer = live_versions.read_model_pointer(str(own_names[handle]["name"]), self._clients)
            live = live_versions.parse_pointer_version(pointer) if pointer is not None else None
            if live == version:
                continue
            if live is not None and live not in proved_versions:
                notes.append(f"{handle}: model {live} was uploaded to this environment, not promoted, so it is kept.")
                continue
            bucket = buckets[handle]
            keys = [key for folder in MODEL_FOLDERS for key in self._list_keys(bucket, f"{folder}/{version}/")]
            models[handle] = version
            origins[handle] = ModelOrigin(bucket, tuple(keys), f"{self._store.bucket}/models/{bucket}/{version}.json")
        return models, origins, tuple(notes)

    def _find_obstacles(self, release: Release) -> tuple[str, ...]:
        """Return why a release that may be promoted cannot be deployed here; empty if it can."""
        name = f"release {release.number} of {self._rules.source}"
        parts = {f"{kind}:{handle}" for kind in ("image", "site", "model") for handle in self._handles}
        missing = restorability.find_missing(
            self._source, release, self._store, Reader(self._clients), frozenset(parts)
        )
        obstacles = [f"{name} cannot be promoted: {sentence}" for sentence in missing]
        if not obstacles:
            artefacts, _ = self._load(release)
            obstacles = [f"{name}: {sentence}" for sentence in self._find_missing_parts(artefacts)]
        obstacles += [f"{name}: {sentence}" for sentence in self._find_schema_obstacles(self._source, release)]
        return tuple(obstacles)

    def _find_missing_parts(self, artefacts: Artefacts) -> Iterator[str]:
        """Yield the components that were added since."""
        for component in self._components:
            if component.handle not in self._handles:
                continue
            if _has_built_image(component) and component.handle not in artefacts.images:
                yield f"it has no image for {component.handle}"
            if component.spec.get("spa") and component.handle not in artefacts.sites:
                yield f"it has no site for {component.handle}"

    def _find_schema_obstacles(self, ledger: Ledger, release: Release) -> Iterator[str]:
        """Yield the services whose build does not run on the schema that the manifests lead to."""
        declared = {
            component.handle: int(component.spec["schema"]["version"])
            for component in self._components
            if component.handle in self._handles and component.spec.get("schema")
        }
        for document in ledger.documents_of(release):
            handle, schema = document_handle(document), document.value.get("spec", {}).get("schema")
            if schema is None or handle not in declared:
                continue
            oldest, newest = supported_versions(schema)
            version = declared[handle]
            if not oldest <= version <= newest:
                yield f"{handle} supports database schema {oldest} to {newest}, but the manifests require {version}"

    def _describe_commits(self, release: Release) -> Iterator[str]:
        """Yield the commits that go along, if the history of the checkout tells."""
        base_commit = find_artefact_commit(self._ledger)
        if not base_commit:
            return
        folder = self._manifest.sources.folder
        commits = shipped_commits.list_shipped_commits(folder, base_commit, release.commit)
        for title, listed in (("are promoted", commits.added), ("are reverted", commits.removed)):
            named = [
                f"{commit.title}{f' (#{commit.pull_request})' if commit.pull_request else ''}, {commit.author}"
                for commit in listed[:MAX_NAMED_COMMITS]
            ]
            more = f"; and {len(listed) - MAX_NAMED_COMMITS} more" if len(listed) > MAX_NAMED_COMMITS else ""
            if named:
                count = format_count(len(listed), "commit")
                yield f"{count} {title}: {'; '.join(named)}{more}."

    def _list_hashes(self, bucket: str) -> frozenset[str]:
        return frozenset(key.removeprefix(ARCHIVE_PREFIX) for key in self._list_keys(bucket, ARCHIVE_PREFIX))

    def _list_keys(self, bucket: str, prefix: str) -> list[str]:
        request: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix}
        reader = Reader(self._clients)
        items = reader.all("s3", "list_objects_v2", "Contents", missing=_NOT_FOUND_CODES, **request)
        return [str(item["Key"]) for item in items]

    def _hint(self) -> str:
        environment, source = self._manifest.environment, self._rules.source
        return (
            f"To promote manually, start the workflow `promote`, or run: orchestrator promote --from {source} "
            f"--to {environment}"
        )


def _shared_handles(components: Iterable[Component], others: Mapping[str, Component]) -> frozenset[str]:
    """Return the components with artefacts that the other environment ships too."""
    return frozenset(
        component.handle
        for component in components
        if component.handle in others
        and (
            (_has_built_image(component) and _has_built_image(others[component.handle]))
            or (component.spec.get("spa") and others[component.handle].spec.get("spa"))
            or (live_versions.is_model_bucket(component) and live_versions.is_model_bucket(others[component.handle]))
        )
    )


def _has_built_image(component: Component) -> bool:
    return component.kind == "ContainerService" and "build" in component.spec["image"]


def _only(artefacts: Artefacts, handles: frozenset[str]) -> Artefacts:
    def pick(mapping: Mapping[str, Any]) -> dict[str, Any]:
        return {handle: value for handle, value in mapping.items() if handle in handles}

    return replace(
        artefacts,
        images=pick(artefacts.images),
        sites=pick(artefacts.sites),
        secrets=pick(artefacts.secrets),
        models=pick(artefacts.models),
    )


def merge(own: Artefacts, promotion: Promotion) -> Artefacts:
    """Return what is built here together with what is promoted."""
    promoted = promotion.artefacts
    images: dict[str, Image] = {**own.images, **promoted.images}
    return replace(
        promoted,
        images=images,
        sites={**own.sites, **promoted.sites},
        notes=(*promotion.notes, *own.notes),
    )
