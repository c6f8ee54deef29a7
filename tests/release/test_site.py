"""A site in its bucket: what is uploaded, in which order, what a killed switch leaves, and the way back."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from orchestrator.emulator import Emulator
from orchestrator.problems import Problems
from tests.proofs import real_stack
from tests.proofs.real_stack import emulated_aws
from tests.release.site_checkout import CDN, V0, V1, V2, SiteCheckout

CONTENTS = {**V0, **V1, **V2}
REVALIDATED = "no-cache"
SCRIPT = "text/javascript; charset=utf-8"


@pytest.fixture
def web(tmp_path: Path, emulator: Emulator) -> SiteCheckout:
    shop = SiteCheckout(tmp_path, emulator)
    shop.ship(V1)
    return shop


def test_a_site_is_served_as_it_was_built(web: SiteCheckout) -> None:
    assert web.read_pages() == V1
    page, part = web.get("index.html"), web.get("assets/app-1a2b3c4d.js")
    assert (page["ContentType"], page["CacheControl"]) == ("text/html; charset=utf-8", "no-cache")
    assert (part["ContentType"], part["CacheControl"]) == (SCRIPT, REVALIDATED)


def test_a_fresh_build_of_the_same_bytes_is_no_change(web: SiteCheckout) -> None:
    """One listing finds that out; another, that there is no ledger yet."""
    web.build(V1)
    web.emulator.clear_calls()

    assert web.plan().plan.pending_changes == ()
    asked = [call.operation for call in web.emulator.calls]
    assert asked.count("ListObjectsV2") == 2
    assert "GetObject" not in asked[asked.index("ListObjectsV2") :]


def test_only_what_changed_is_uploaded(web: SiteCheckout) -> None:
    web.build(V1 | {"assets/app-77aa88bb.js": "three"})
    web.apply()

    assert web.list_write_operations() == [
        "PutObject",
        "CopyObject",
        *["PutObject"] * 3,
        "DeleteObjects",
    ]  # a mark, the age of the index before, the file, the index, a mark


def test_old_parts_stay_and_old_pages_go(web: SiteCheckout) -> None:
    web.ship(V2)

    assert web.read_pages() == V2 | {"assets/app-1a2b3c4d.js": "one"}


def test_going_back_uploads_nothing(web: SiteCheckout) -> None:
    """Entry files are copied from where they were kept; the marks are all that is put."""
    first = web.scan_site()
    web.ship(V2)
    assert web.apply(previous_site=first) == []

    assert web.read_pages() == V1 | {"assets/app-5e6f7a8b.js": "two"}
    assert web.get("index.html")["CacheControl"] == "no-cache"
    assert web.list_write_operations().count("PutObject") == 2
    assert (
        web.list_write_operations().count("CopyObject") == 2 + 1
    )  # and the index of what is left, which ages from now
    assert web.plan(previous_site=first).plan.pending_changes == ()


def test_a_site_whose_parts_are_gone_does_not_come_back(web: SiteCheckout) -> None:
    """It is said before anything is done."""
    first = web.scan_site()
    web.ship(V2)
    web.clients.call("s3", "delete_object", {"Bucket": "shop-web", "Key": "assets/app-1a2b3c4d.js"})

    with pytest.raises(Problems, match=r"shop-web no longer has 1 file of site .*, such as assets/app-1a2b3c4d.js"):
        web.plan(previous_site=first)


@pytest.mark.both_backends
@pytest.mark.xdist_group("site-ministack")
def test_another_emulated_s3_agrees(tmp_path: Path) -> None:
    """Forth, back, and in sync at either end."""
    with emulated_aws("ministack") as running:
        shop = SiteCheckout(tmp_path, running)
        shop.ship(V1)
        first = shop.scan_site()
        assert shop.plan().plan.pending_changes == ()
        shop.ship(V2)
        assert shop.plan().plan.pending_changes == ()
        assert shop.read_pages() == V2 | {"assets/app-1a2b3c4d.js": "one"}
        assert shop.apply(previous_site=first) == []
        assert shop.read_pages() == V1 | {"assets/app-5e6f7a8b.js": "two"}
        assert shop.plan(first).plan.pending_changes == ()


@pytest.mark.parametrize("meddle", ["edit", "same length", "headers", "delete", "delete a part"])
def test_what_is_changed_by_hand_is_drift_and_is_healed(web: SiteCheckout, meddle: str) -> None:
    time.sleep(1.1 if meddle == "headers" else 0)  # S3's clock has seconds
    match meddle:
        case "edit":
            web.put("index.html", "hacked")
        case "same length":
            web.put("about.html", "hacked!")
        case "headers":
            web.put("index.html", V1["index.html"], ContentType="text/plain")
        case "delete":
            web.clients.call("s3", "delete_object", {"Bucket": "shop-web", "Key": "about.html"})
        case _:
            web.clients.call("s3", "delete_object", {"Bucket": "shop-web", "Key": "assets/shared-9f8e7d6c.js"})

    (change,) = web.plan().plan.pending_changes
    assert change.address == "s3_site.web"
    assert any("changed manually" in str(field.before) for field in change.fields)
    web.apply()
    assert web.read_pages() == V1
    assert web.get("index.html")["ContentType"] == "text/html; charset=utf-8"
    assert web.plan().plan.pending_changes == ()


def test_what_somebody_else_put_there_is_left_alone(web: SiteCheckout) -> None:
    web.put("verification.txt", "theirs")
    web.ship(V2)

    assert web.read_pages()["verification.txt"] == "theirs"


def test_files_of_another_tool_get_the_right_headers(tmp_path: Path, emulator: Emulator) -> None:
    """A bucket that was filled before is taken over: its bytes may be right, its headers cannot be known."""
    shop = SiteCheckout(tmp_path, emulator)
    shop.ship(V1)
    shop.empty_bucket()
    for path, text in V1.items():
        shop.put(path, text, ContentType="binary/octet-stream")
    shop.ship(V1)

    assert {shop.get(path)["ContentType"] for path in V1 if path.endswith(".js")} == {SCRIPT}
    assert shop.get("index.html")["CacheControl"] == "no-cache"


def test_under_a_key_of_ones_own_sizes_and_times_have_to_do(tmp_path: Path, emulator: Emulator) -> None:
    """There an ETag is not the MD5 of the bytes; a change by hand shows by its time."""
    shop = SiteCheckout(tmp_path, emulator, ", encryption: 'aws:kms'")
    shop.ship(V1)
    assert shop.plan().plan.pending_changes == ()
    time.sleep(1.1)
    shop.put("about.html", "hacked!")

    assert [change.address for change in shop.plan().plan.pending_changes] == ["s3_site.web"]
    shop.apply()
    assert shop.read_pages() == V1
    shop.ship(V2 | {"robots.txt": "ALL"})
    assert shop.read_pages() == V2 | {"robots.txt": "ALL", "assets/app-1a2b3c4d.js": "one"}


def test_a_cdn_is_told_what_has_changed_and_nothing_else(tmp_path: Path, emulator: Emulator) -> None:
    """Nothing at first; then pages that changed or went, and never a part."""
    shop = SiteCheckout(tmp_path, emulator, extra_documents=CDN)
    shop.ship(V1)
    assert invalidated(shop) == []
    shop.ship(V2)

    assert invalidated(shop) == [["/", "/about.html", "/index.html"]]


def test_many_changes_are_one_path(tmp_path: Path, emulator: Emulator) -> None:
    shop = SiteCheckout(tmp_path, emulator, extra_documents=CDN)
    many = {f"page{number}.html": "one" for number in range(20)}
    shop.ship(V1 | many, V1 | dict.fromkeys(many, "two"))

    assert invalidated(shop) == [["/*"]]


def invalidated(web: SiteCheckout) -> list[list[str]]:
    """The paths of each invalidation so far."""
    listed = web.clients.call("cloudfront", "list_distributions", {})
    (one,) = listed["DistributionList"]["Items"]
    found = web.clients.call("cloudfront", "list_invalidations", {"DistributionId": one["Id"]})
    ids = [item["Id"] for item in found["InvalidationList"].get("Items", [])]
    asked = [
        web.clients.call("cloudfront", "get_invalidation", {"DistributionId": one["Id"], "Id": each}) for each in ids
    ]
    return [sorted(each["Invalidation"]["InvalidationBatch"]["Paths"]["Items"]) for each in asked]


def broken(web: SiteCheckout) -> list[str]:
    """What a visitor would miss: a front page that is whole, and each part that a front page so far names."""
    pages = web.read_pages()
    found = [] if pages.get("index.html") in (V1["index.html"], V2["index.html"]) else ["index.html"]
    shown = (V0["index.html"], V1["index.html"], pages.get("index.html", ""))
    for path in (path for path in CONTENTS if path.startswith("assets/") and any(path in page for page in shown)):
        answer = web.get(path) if path in pages else {}
        whole = pages.get(path) == CONTENTS[path]
        if not whole or (answer["ContentType"], answer["CacheControl"]) != (SCRIPT, REVALIDATED):
            found.append(path)
    return found


def test_killed_anywhere_no_visitor_misses_anything_and_the_next_run_heals(tmp_path: Path, emulator: Emulator) -> None:
    """Before and after the writes of the switch from one site to the next: all that AWS ever holds on the way.

    Every third moment, before and after in turn; all of them with all proofs.
    """
    shop = SiteCheckout(tmp_path, emulator)
    shop.ship(V0)
    number, wanted = 0, V2 | {path: CONTENTS[path] for path in ("assets/app-0a0b0c0d.js", "assets/app-1a2b3c4d.js")}
    died = True
    while died:
        number += 1 if real_stack.is_exhaustive() else 3
        shop.empty_bucket()
        shop.ship(V0, V1)
        shop.build(V2)
        died = shop.crash_apply(number)
        assert broken(shop) == [], f"killed at {number}"
        assert shop.apply() == []
        assert shop.read_pages() == wanted, f"killed at {number}"
        assert shop.plan().plan.pending_changes == ()
        assert sum(key.startswith(".orchestrator/") for key in shop.list_keys()) == 1
    assert number > 16


def test_killed_anywhere_the_site_before_comes_back_whole(tmp_path: Path, emulator: Emulator) -> None:
    """Whoever gives up in the middle gets the old site, without a page of the new one."""
    shop = SiteCheckout(tmp_path, emulator)
    shop.ship(V1)
    number, died = 0, True
    while died:
        number += 2  # the test above kills at every write
        shop.empty_bucket()
        shop.ship(V1)
        shop.build(V2)
        died = shop.crash_apply(number)
        shop.ship(V1)
        assert shop.read_pages().keys() - {"assets/app-5e6f7a8b.js"} == V1.keys(), f"killed at {number}"
        assert V1.items() <= shop.read_pages().items()
        assert shop.plan().plan.pending_changes == ()
    assert number > 16


def test_a_first_upload_that_was_killed_goes_on(tmp_path: Path, emulator: Emulator) -> None:
    """What is there is not sent again."""
    many = {f"assets/part-a{number:07d}b.js": str(number) for number in range(40)}
    shop = SiteCheckout(tmp_path, emulator)
    shop.ship({"index.html": "nothing yet"})
    shop.empty_bucket()
    shop.build(V1 | many)
    emulator.crash_at(25)
    assert shop.apply(type(shop.clients)("eu-west-1", attempts=1)) != []
    emulator.revive()
    shop.apply()

    assert shop.read_pages() == V1 | many
    assert shop.list_write_operations().count("PutObject") < 35
