"""``metadata.drift.ignore`` in a manifest: what it comes to, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.manifest import check, expand, load
from orchestrator.problems import Problems

SHOP = """\
apiVersion: orchestrator/v1
kind: Project
metadata: {name: shop}
spec: {repository: team/shop, region: eu-west-1, account: "123456789012"}
---
apiVersion: orchestrator/v1
kind: Bucket
metadata:
  name: files
  drift:
    ignore:
      - {field: FIELD, until: UNTIL, owner: ana, reason: the import runsMORE}
spec: {name: shop-files}
"""


def text(folder: Path, field: str = "versioning", until: str = "2027-01-31", more: str = "") -> Path:
    folder.joinpath("shop.yaml").write_text(SHOP.replace("FIELD", field).replace("UNTIL", until).replace("MORE", more))
    return folder


def test_it_speaks_of_all_that_the_component_makes(tmp_path: Path) -> None:
    """Unless it names a resource."""
    (waiver,) = expand.expand(check.check(load.load(text(tmp_path)), None)).waivers
    assert waiver.addresses == {"s3_bucket.files", "s3_bucket_policy.files", "s3_bucket_cors.files"}
    assert (waiver.field, waiver.until, waiver.owner) == ("versioning", "2027-01-31", "ana")

    (waiver,) = expand.expand(check.check(load.load(text(tmp_path, more=", resource: s3_bucket.files")), None)).waivers
    assert waiver.addresses == {"s3_bucket.files"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"field": "versoning"}, "shop.yaml:12:17: bucket.files has no field `versoning`\n.*did you mean `versioning`"),
        ({"until": "2027-02-30"}, "shop.yaml:12:36: `until: 2027-02-30` is not a valid date"),
        ({"until": "soon"}, "must be a date written as YYYY-MM-DD"),
        ({"more": ", resource: s3_bucket.file"}, "bucket.files has no resource s3_bucket.file\n.*did you mean"),
        ({"more": ", who: ana"}, "who"),
    ],
)
def test_what_is_wrong_with_it_is_told_at_its_place(tmp_path: Path, changed: dict[str, str], message: str) -> None:
    with pytest.raises(Problems, match=message):
        expand.expand(check.check(load.load(text(tmp_path, **changed)), None))
