"""Removes what no release that can be gone back to needs: images, files of older sites, labels of secret versions.

What is kept is derived from the ledger alone; no rule of a bucket or registry decides.  Runs after a release is
written down.  What fails is told and tried again by the next release: nothing here can break one.
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
from orchestrator.aws.reader import Caller
from orchestrator.problems import Problems
from orchestrator.release import Ledger, Release
from orchestrator.release.ledger_store import Store
from orchestrator.vocabulary import Desired

LABEL = "orchestrator-release-"
LABELS = 16
"""Labels of ours on one secret: AWS allows 20, and has up to three of its own."""
GRACE = timedelta(days=1)
"""What is younger may belong to a deploy that is under way."""
CACHED = timedelta(days=14)
"""How long a layer that no release needs is kept for the next build."""
AT_ONCE = {"s3": 1000, "ecr": 100}


class Needed(Struct, frozen=True):
    """What the releases of a ledger need, by handle; ``paths`` and ``bodies`` of sites, ``indexes`` by digest."""

    images: Mapping[str, frozenset[str]] = field(default_factory=dict)
    paths: Mapping[str, frozenset[str]] = field(default_factory=dict)
    indexes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    bodies: frozenset[str] = frozenset()
    secrets: Mapping[str, frozenset[str]] = field(default_factory=dict)


def needed(ledger: Ledger, sites: Mapping[tuple[str, str], Site]) -> Needed:
    """What to keep; ``sites`` by handle and digest.  Failed releases need nothing: nobody goes back to them."""
    good = [release for release in ledger.releases if release.is_whole]
    paths: dict[str, set[str]] = {}
    bodies: set[str] = set()
    for (handle, _), site in sites.items():
        paths.setdefault(handle, set()).update(site.files)
        bodies.update(file.sha256 for file in site.files.values() if file.entry)
    return Needed(
        images=_by_handle((name, built.digest) for one in good for name, built in one.vector.images.items()),
        paths={handle: frozenset(found) for handle, found in paths.items()},
        indexes=_by_handle(shipped(good)),
        bodies=frozenset(bodies),
        secrets=_by_handle((name, version) for one in good for name, version in one.vector.secrets.items()),
    )


def shipped(releases: Iterable[Release]) -> list[tuple[str, str]]:
    """Handle and digest of every site of ``releases``."""
    return list(dict.fromkeys((name, digest) for one in releases for name, digest in one.vector.sites.items()))


class Sweeper:
    """One clean-up after one release."""

    def __init__(self, caller: Caller, store: Store, desired: Desired, now: datetime | None = None) -> None:
        self._caller = caller
        self._store = store
        self._names = {resource.address: resource.physical for resource in desired.resources}
        self._before = (now or datetime.now(UTC)) - GRACE

    def sweep(self, ledger: Ledger) -> tuple[str, ...]:
        """Remove what is not needed; sentences about what could not be."""
        good = [release for release in ledger.releases if release.is_whole]
        try:
            sites = self._sites(good)
        except Problems as error:
            return tuple(problem.message for problem in error.problems)
        keep = needed(ledger, sites)
        trouble: list[str] = []
        for work in (self._images, self._assets, self._bodies, self._versions):
            try:
                work(keep)
            except AwsError as error:
                trouble.append(f"{error}; the next release tries again")
        return tuple(trouble)

    def _sites(self, good: list[Release]) -> dict[tuple[str, str], Site]:
        found = {}
        for handle, digest in shipped(good):
            bucket = self._bucket(handle)
            site = self._store.site(bucket, digest) if bucket else None
            if bucket and site is None:  # without it we do not know what is needed: keep everything
                raise Problems.one(f"the index of site {digest[:12]} is gone; no file of {bucket} was removed")
            if site is not None:
                found[handle, digest] = site
        return found

    def _bucket(self, handle: str) -> str | None:
        return self._names.get(f"s3_bucket.{handle.partition('.')[2]}")

    def _images(self, keep: Needed) -> None:
        for handle, digests in keep.images.items():
            repository = self._names.get(f"ecr_repository.{handle.partition('.')[2]}")
            if repository is None:
                continue
            pages = self._caller.pages("ecr", "describe_images", {"repositoryName": repository})
            details = [detail for page in pages for detail in page["imageDetails"]]
            old = [
                {"imageDigest": detail["imageDigest"]}
                for detail in details
                if not {detail["imageDigest"], detail.get("subjectManifestDigest")} & digests  # an SBOM has a subject
                and detail["imagePushedAt"] < self._before - (CACHED - GRACE if _is_layer(detail) else timedelta())
            ]
            for part in _parts(old, AT_ONCE["ecr"]):
                self._caller.call("ecr", "batch_delete_image", {"repositoryName": repository, "imageIds": part})

    def _assets(self, keep: Needed) -> None:
        """What a site shipped that no release needs any more; whatever else is in the bucket is not ours."""
        for handle, paths in keep.paths.items():
            bucket = self._bucket(handle)
            prefix = f"sites/{bucket}/"
            for key in self._old(self._store.bucket, prefix) if bucket else ():
                digest = key.removeprefix(prefix).removesuffix(".json")
                site = None if digest in keep.indexes[handle] else self._store.site(str(bucket), digest)
                if site is not None:
                    self._delete(str(bucket), sorted(set(site.files) - paths))
                    self._delete(self._store.bucket, [key])

    def _bodies(self, keep: Needed) -> None:
        needed = {f"bodies/{body}" for body in keep.bodies}
        self._delete(self._store.bucket, sorted(set(self._old(self._store.bucket, "bodies/")) - needed))

    def _versions(self, keep: Needed) -> None:
        """AWS drops versions without a label beyond a hundred, the oldest first: so the oldest needed ones get one."""
        for handle, wanted in keep.secrets.items():
            secret = self._names.get(f"secretsmanager_secret.{handle.partition('.')[2]}")
            if secret is None:
                continue
            pages = self._caller.pages("secretsmanager", "list_secret_version_ids", {"SecretId": secret})
            versions = sorted((one for page in pages for one in page["Versions"]), key=lambda one: one["CreatedDate"])
            oldest = [one["VersionId"] for one in versions if one["VersionId"] in wanted][:LABELS]
            labelled = [one["VersionId"] for one in versions if any(map(_is_label, one.get("VersionStages", ())))]
            moves = [("RemoveFromVersionId", version) for version in labelled if version not in oldest]
            moves += [("MoveToVersionId", version) for version in oldest if version not in labelled]
            for move, version in moves:
                given = {"SecretId": secret, "VersionStage": f"{LABEL}{version[:8]}", move: version}
                self._caller.call("secretsmanager", "update_secret_version_stage", given)

    def _old(self, bucket: str, prefix: str) -> list[str]:
        """Keys that belong to no deploy that may be under way."""
        pages = self._caller.pages("s3", "list_objects_v2", {"Bucket": bucket, "Prefix": prefix})
        items = [item for page in pages for item in page.get("Contents", ())]
        return [item["Key"] for item in items if item["LastModified"] < self._before]

    def _delete(self, bucket: str, keys: list[str]) -> None:
        for part in _parts([{"Key": key} for key in keys], AT_ONCE["s3"]):
            self._caller.call("s3", "delete_objects", {"Bucket": bucket, "Delete": {"Objects": part, "Quiet": True}})


def _is_layer(detail: Mapping[str, Any]) -> bool:
    return any(map(builder_commands.LAYER.fullmatch, detail.get("imageTags", ())))


def _is_label(stage: str) -> bool:
    return stage.startswith(LABEL)


def _by_handle(pairs: Iterable[tuple[str, str]]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for handle, value in pairs:
        found.setdefault(handle, set()).add(value)
    return {handle: frozenset(values) for handle, values in found.items()}


def _parts(items: list[dict[str, str]], size: int) -> Iterator[list[dict[str, str]]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
