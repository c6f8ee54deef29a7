"""Which site stands in a bucket, and what is between it and another, by one listing and the indexes it names.

An empty object whose *name* holds a digest, ``.orchestrator/site/DIGEST``, says that this site was shipped whole;
another, ``.orchestrator/ship/DIGEST``, that shipping it has begun.  S3's clock orders them: the newest of the first
kind stands, and what is younger than it was put there by somebody else, or by a run that was killed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from orchestrator import canonical_json
from orchestrator.artefacts import Site, SiteFile
from orchestrator.resources import Aws
from orchestrator.resources.s3_site import object_listing
from orchestrator.vocabulary import Scope

WHOLE = ".orchestrator/site/"
BEGUN = ".orchestrator/ship/"
GONE = ("NoSuchKey", "NoSuchBucket", "404")


@dataclass(frozen=True)
class Standing:
    """One bucket as it is, against the ``site`` that is to stand there.

    ``there`` is the listing, by key; ``indexes`` are the other sites that marks name, by digest, as far as they are
    known.  ``by_etag``: an ETag is the MD5 of the bytes; where it is not (KMS), sizes and times have to do.
    """

    site: Site
    there: Mapping[str, Mapping[str, Any]]
    by_etag: bool
    indexes: Mapping[str, Site] = field(default_factory=dict)

    @cached_property
    def whole(self) -> str | None:
        """Digest of the site that stands."""
        marks = {key: item["LastModified"] for key, item in self.there.items() if key.startswith(WHOLE)}
        return max(marks, key=lambda key: marks[key]).removeprefix(WHOLE) if marks else None

    @cached_property
    def marks(self) -> tuple[str, ...]:
        """Keys of the marks that go when the site stands."""
        own = f"{WHOLE}{self.site.digest}"
        return tuple(key for key in self.there if key.startswith((WHOLE, BEGUN)) and key != own)

    @cached_property
    def resumes(self) -> bool:
        """Whether the last thing that was begun here is this site, by a run that was killed."""
        begun = self.there.get(f"{BEGUN}{self.site.digest}")
        return begun is not None and all(
            self.there[key]["LastModified"] <= begun["LastModified"]
            for key in self.there
            if key.startswith((WHOLE, BEGUN))
        )

    @cached_property
    def wrong(self) -> tuple[str, ...]:
        """Paths that are not there, or with other bytes."""
        return tuple(path for path, file in self.site.files.items() if not self._has(path, file))

    @cached_property
    def stale(self) -> tuple[str, ...]:
        """Paths that are there, but perhaps not as they are to be served."""
        wrong = set(self.wrong)
        return tuple(p for p, file in self.site.files.items() if p not in wrong and not self._is_ours(p, file))

    @cached_property
    def new(self) -> tuple[str, ...]:
        """Of the wrong ones, those of which nothing is there."""
        return tuple(path for path in self.wrong if path not in self.there)

    @cached_property
    def gone(self) -> tuple[str, ...]:
        """Entry files of the other sites that this one has not."""
        return tuple(sorted({path for other in self.indexes.values() for path in self._left(other)}))

    @cached_property
    def forgotten(self) -> tuple[str, ...]:
        """What a CDN may know otherwise than it is to be."""
        found = {*self.wrong, *self.stale, *self.gone} - set(self.new)
        for other in self.indexes.values():
            common = self.site.files.keys() & other.files.keys()
            found |= {path for path in common if served(self.site.files[path]) != served(other.files[path])}
        return tuple(sorted(found))

    @property
    def shown(self) -> str | None:
        """The site that stands, in the plan's words: the digest alone where nothing is to be done."""
        if self.whole != self.site.digest:
            return self.whole
        begun = next((key.removeprefix(BEGUN) for key in self.marks if key.startswith(BEGUN)), None)
        if begun not in {None, self.whole}:
            return f"{self.whole}, left half-way to {begun}"
        if self.wrong or self.stale:
            return f"{self.whole}, changed by hand"
        return f"{self.whole}, not tidied up" if self.marks else self.whole

    def _has(self, path: str, file: SiteFile) -> bool:
        item = self.there.get(path)
        if item is None or item["Size"] != file.size:
            return False
        return not self.by_etag or item["ETag"].strip('"') == file.md5

    def _is_ours(self, path: str, file: SiteFile) -> bool:
        """Whether a file with the right bytes was put there by a run that gave it the right headers."""
        modified = self.there[path]["LastModified"]
        if self.resumes and modified >= self.there[f"{BEGUN}{self.site.digest}"]["LastModified"]:
            return True
        before = self.site if self.whole == self.site.digest else self.indexes.get(self.whole or "")
        if before is None or modified > self.there[f"{WHOLE}{self.whole}"]["LastModified"]:
            return False
        known = before.files.get(path)
        return served(known) == served(file) if known else not file.entry  # a part of a site before that one

    def _left(self, other: Site) -> Iterator[str]:
        for path, file in other.files.items():
            if file.entry and path not in self.site.files and path in self.there:
                yield path


def served(file: SiteFile) -> tuple[str, ...]:
    """What a browser gets: bytes and headers."""
    return file.sha256, file.content_type, file.cache_control


def look(aws: Aws, scope: Scope, bucket: str, site: Site, store: str, *, by_etag: bool) -> Standing:
    """What stands in ``bucket``.  API: S3 ListObjectsV2; GetObject once for each other site that a mark names."""
    there = object_listing.keys(aws, bucket, scope.account, tuple(site.files))
    named = {key.removeprefix(WHOLE).removeprefix(BEGUN) for key in there if key.startswith((WHOLE, BEGUN))}
    found = {digest: _index(aws, store, bucket, digest) for digest in sorted(named - {site.digest})}
    return Standing(site, there, by_etag, {digest: index for digest, index in found.items() if index})


def _index(aws: Aws, store: str, bucket: str, digest: str) -> Site | None:
    """A site as it was shipped; None where nobody knows any more."""
    key = f"sites/{bucket}/{digest}.json"
    answer = aws.get("s3", "get_object", Bucket=store, Key=key, missing=GONE)
    return None if answer is None else canonical_json.load(answer["Body"].read(), Site, f"s3://{store}/{key}")
