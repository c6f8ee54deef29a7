"""Delete images, site files and secret version labels that no restorable release needs.

The ledger alone decides what is kept, not lifecycle rules of a bucket or registry.  Runs after a release is recorded.
A failure is a warning, and the next release tries again: it never fails a release.
API: ECR ListImages, BatchDeleteImage; S3 ListObjectsV2, DeleteObjects; Secrets Manager UpdateSecretVersionStage.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct, field

from orchestrator.artefacts import Site
from orchestrator.artefacts.images import builder_commands
from orchestrator.aws.errors import AwsError
from orchestrator.aws.reader import AwsCaller
from orchestrator.problems import Problems
from orchestrator.release import Ledger, Release
from orchestrator.release.ledger_store import LedgerStore
from orchestrator.vocabulary import DesiredState

LABEL_PREFIX = "orchestrator-release-"
MAX_LABELS = 16
"""Version labels per secret: AWS allows 20 and uses up to three itself."""
GRACE_PERIOD = timedelta(days=1)
"""Anything younger may belong to a deploy in progress."""
DEFAULT_GRACE_DAYS = 7
"""How long after its supersession a site's files stay for tabs that are still open; its index is written again then."""
CACHE_RETENTION = timedelta(days=14)
"""How long an unused layer is kept as a cache for the next build."""
MAX_BATCH_SIZES = {"s3": 1000, "ecr": 100}


class RetainedContent(Struct, frozen=True):
    """What a ledger's releases need, by handle: image digests, sites' file ``paths`` and ``indexes``, secret versions.

    ``bodies`` are the SHA-256 hashes of the sites' files, of which entry files and overwritten assets are archived.
    """

    images: Mapping[str, frozenset[str]] = field(default_factory=dict)
    paths: Mapping[str, frozenset[str]] = field(default_factory=dict)
    indexes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    bodies: frozenset[str] = frozenset()
    secrets: Mapping[str, frozenset[str]] = field(default_factory=dict)


def compute_retained(ledger: Ledger, sites: Mapping[tuple[str, str], Site]) -> RetainedContent:
    """Return what to keep; ``sites`` by handle and digest.  Failed releases need nothing: they cannot be restored."""
    complete_releases = [release for release in ledger.releases if release.is_complete]
    paths: dict[str, set[str]] = {}
    bodies: set[str] = set()
    for (handle, _), site in sites.items():
        paths.setdefault(handle, set()).update(site.files)
        bodies.update(file.sha256 for file in site.files.values())
    return RetainedContent(
        images=_group_by_handle(
            (name, image.digest)
            for complete_release in complete_releases
            for name, image in complete_release.vector.images.items()
        ),
        paths={handle: frozenset(site_paths) for handle, site_paths in paths.items()},
        indexes=_group_by_handle(list_site_digests(complete_releases)),
        bodies=frozenset(bodies),
        secrets=_group_by_handle(
            (name, version)
            for complete_release in complete_releases
            for name, version in complete_release.vector.secrets.items()
        ),
    )


def list_site_digests(releases: Iterable[Release]) -> list[tuple[str, str]]:
    """Return the handle and digest of each distinct site in ``releases``."""
    return list(dict.fromkeys((name, digest) for release in releases for name, digest in release.vector.sites.items()))


class GarbageCollector:
    """Deletes what the releases of one environment no longer need."""

    def __init__(
        self, caller: AwsCaller, store: LedgerStore, desired: DesiredState, now: datetime | None = None
    ) -> None:
        self._caller = caller
        self._store = store
        self._names = {resource.address: resource.physical for resource in desired.resources}
        self._site_grace_periods = {
            component.handle: timedelta(days=component.spec["spa"].get("graceDays", DEFAULT_GRACE_DAYS))
            for component in desired.components
            if component.spec.get("spa")
        }
        self._cutoff = (now or datetime.now(UTC)) - GRACE_PERIOD

    def collect(self, ledger: Ledger) -> tuple[str, ...]:
        """Delete what is not needed; return one warning per failure."""
        complete_releases = [release for release in ledger.releases if release.is_complete]
        try:
            sites = self._load_sites(complete_releases)
        except Problems as error:
            return tuple(problem.message for problem in error.problems)
        retained = compute_retained(ledger, sites)
        cleanup_warnings: list[str] = []
        for cleanup in (self._delete_images, self._delete_assets, self._delete_bodies, self._label_secret_versions):
            try:
                cleanup(retained)
            except AwsError as error:
                cleanup_warnings.append(f"clean-up failed: {error}; the next release tries again")
        return tuple(cleanup_warnings)

    def _load_sites(self, complete_releases: list[Release]) -> dict[tuple[str, str], Site]:
        sites = {}
        for handle, digest in list_site_digests(complete_releases):
            bucket = self._bucket_name(handle)
            site = self._store.load_site(bucket, digest) if bucket else None
            if bucket and site is None:  # what it needs is unknown: keep everything
                raise Problems.from_message(
                    f"the index of site {digest[:12]} is missing; no file of {bucket} was deleted"
                )
            if site is not None:
                sites[handle, digest] = site
        return sites

    def _bucket_name(self, handle: str) -> str | None:
        return self._names.get(f"s3_bucket.{handle.partition('.')[2]}")

    def _delete_images(self, retained: RetainedContent) -> None:
        for handle, digests in retained.images.items():
            repository = self._names.get(f"ecr_repository.{handle.partition('.')[2]}")
            if repository is None:
                continue
            pages = self._caller.pages("ecr", "describe_images", {"repositoryName": repository})
            details = [detail for page in pages for detail in page["imageDetails"]]
            expired_images = [
                {"imageDigest": detail["imageDigest"]}
                for detail in details
                if not {detail["imageDigest"], detail.get("subjectManifestDigest")} & digests  # an SBOM has a subject
                and detail["imagePushedAt"]
                < self._cutoff - (CACHE_RETENTION - GRACE_PERIOD if _is_layer(detail) else timedelta())
            ]
            for batch in _batches(expired_images, MAX_BATCH_SIZES["ecr"]):
                self._caller.call("ecr", "batch_delete_image", {"repositoryName": repository, "imageIds": batch})

    def _delete_assets(self, retained: RetainedContent) -> None:
        """Delete files of earlier sites that no release and no open page needs; never touch other objects."""
        for handle, retained_paths in retained.paths.items():
            if (bucket := self._bucket_name(handle)) is None:
                continue
            grace_period = self._site_grace_periods.get(handle, timedelta(days=DEFAULT_GRACE_DAYS))
            expired, recent = self._list_superseded_sites(bucket, retained.indexes[handle], grace_period)
            needed_paths = retained_paths.union(*(site.files for site in recent.values()))
            for key, site in expired.items():
                self._delete_objects(bucket, sorted(set(site.files) - needed_paths))
                self._delete_objects(self._store.bucket, [key])

    def _list_superseded_sites(
        self, bucket: str, retained_digests: frozenset[str], grace_period: timedelta
    ) -> tuple[dict[str, Site], dict[str, Site]]:
        """Return the sites that no release needs by the key of their index: those past ``grace_period``, and others."""
        prefix = f"sites/{bucket}/"
        cutoff = self._cutoff + GRACE_PERIOD - grace_period
        sites: tuple[dict[str, Site], dict[str, Site]] = ({}, {})
        for key, modified in self._list_keys(self._store.bucket, prefix).items():
            digest = key.removeprefix(prefix).removesuffix(".json")
            site = None if digest in retained_digests else self._store.load_site(bucket, digest)
            if site is not None:
                sites[modified >= cutoff][key] = site
        return sites

    def _delete_bodies(self, retained: RetainedContent) -> None:
        needed_keys = {f"bodies/{body}" for body in retained.bodies}
        self._delete_objects(
            self._store.bucket, sorted(set(self._expired_keys(self._store.bucket, "bodies/")) - needed_keys)
        )

    def _label_secret_versions(self, retained: RetainedContent) -> None:
        """Label the oldest needed versions: beyond 100, AWS deletes unlabelled versions, oldest first."""
        for handle, needed_versions in retained.secrets.items():
            secret = self._names.get(f"secretsmanager_secret.{handle.partition('.')[2]}")
            if secret is None:
                continue
            pages = self._caller.pages("secretsmanager", "list_secret_version_ids", {"SecretId": secret})
            versions = sorted(
                (item for page in pages for item in page["Versions"]), key=lambda item: item["CreatedDate"]
            )
            oldest = [item["VersionId"] for item in versions if item["VersionId"] in needed_versions][:MAX_LABELS]
            labelled = [item["VersionId"] for item in versions if any(map(_is_label, item.get("VersionStages", ())))]
            label_updates = [("RemoveFromVersionId", version) for version in labelled if version not in oldest]
            label_updates += [("MoveToVersionId", version) for version in oldest if version not in labelled]
            for direction, version in label_updates:
                request = {"SecretId": secret, "VersionStage": f"{LABEL_PREFIX}{version[:8]}", direction: version}
                self._caller.call("secretsmanager", "update_secret_version_stage", request)

    def _expired_keys(self, bucket: str, prefix: str, grace_period: timedelta = GRACE_PERIOD) -> list[str]:
        """Return the keys that are older than ``grace_period``."""
        cutoff = self._cutoff + GRACE_PERIOD - grace_period
        return [key for key, modified in self._list_keys(bucket, prefix).items() if modified < cutoff]

    def _list_keys(self, bucket: str, prefix: str) -> dict[str, datetime]:
        """Return when each key was last written."""
        pages = self._caller.pages("s3", "list_objects_v2", {"Bucket": bucket, "Prefix": prefix})
        return {item["Key"]: item["LastModified"] for page in pages for item in page.get("Contents", ())}

    def _delete_objects(self, bucket: str, keys: list[str]) -> None:
        for batch in _batches([{"Key": key} for key in keys], MAX_BATCH_SIZES["s3"]):
            self._caller.call("s3", "delete_objects", {"Bucket": bucket, "Delete": {"Objects": batch, "Quiet": True}})


def _is_layer(detail: Mapping[str, Any]) -> bool:
    return any(map(builder_commands.LAYER_TAG_PATTERN.fullmatch, detail.get("imageTags", ())))


def _is_label(stage: str) -> bool:
    return stage.startswith(LABEL_PREFIX)


def _group_by_handle(pairs: Iterable[tuple[str, str]]) -> dict[str, frozenset[str]]:
    groups: dict[str, set[str]] = {}
    for handle, value in pairs:
        groups.setdefault(handle, set()).add(value)
    return {handle: frozenset(values) for handle, values in groups.items()}


def _batches(items: list[dict[str, str]], size: int) -> Iterator[list[dict[str, str]]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
