"""A bucket listed in slices: everything is seen once, whatever lies between the files of the site."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.resources.s3_site import object_listing

if TYPE_CHECKING:
    from orchestrator.resources import AwsReader


class Bucket:
    """Answers ListObjectsV2 as S3 does: by UTF-8, a page at a time."""

    def __init__(self, keys: set[str], page: int = object_listing.MAX_KEYS_PER_PAGE) -> None:
        self.page = page
        self.keys = sorted(keys, key=str.encode)
        self.calls = 0

    def get(self, service: str, operation: str, /, **given: Any) -> Any:
        self.calls += 1
        after = given.get("StartAfter", "").encode()
        left = [key for key in self.keys if key.encode() > after]
        most = min(given.get("MaxKeys", self.page), self.page)
        found = [{"Key": key} for key in left[:most]]
        return {"IsTruncated": len(left) > most, **({"Contents": found} if found else {})}

    def all(self, service: str, operation: str, member: str, /, **given: Any) -> list[Any]:
        found: list[Any] = []
        while True:
            page = self.get(service, operation, **given)
            found += page.get(member, [])
            if not page["IsTruncated"]:
                return found
            given["StartAfter"] = found[-1]["Key"]


def seen(bucket: Bucket, expected: set[str], others: int = object_listing.MAX_EXTRA_KEYS) -> list[str]:
    owner = "123456789012"
    return list(
        object_listing.list_objects(
            cast("AwsReader", bucket), "web", owner, tuple(expected), page_size=bucket.page, max_extra_keys=others
        )
    )


names = st.sets(st.text(st.sampled_from("ab/ä€𝄞\uffff"), min_size=1, max_size=3), max_size=30)


@given(expected=names, there=names)
def test_everything_is_seen_in_order(expected: set[str], there: set[str]) -> None:
    """Of the files expected there may be all or none, and others beside them, in S3's order and not Python's."""
    bucket = Bucket(there, page=4)

    assert seen(bucket, expected, others=1) == bucket.keys


def test_a_site_as_it_should_be_takes_a_call_for_a_thousand_files() -> None:
    """With some files of older sites between its own; and where nothing is, one a slice tells that."""
    site = {f"assets/{number:05}.js" for number in range(20_000)}
    whole = Bucket(site | {f"assets/{number:05}.css" for number in range(0, 20_000, 250)} | {".orchestrator/site/x"})
    empty = Bucket(set())

    assert len(seen(whole, site)) == len(whole.keys)
    assert seen(empty, site) == []
    assert (whole.calls, empty.calls) == (21, 21)
