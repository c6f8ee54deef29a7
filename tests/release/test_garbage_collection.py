"""What is removed after a release, and that no release which can be gone back to loses anything by it."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator import canonical_json
from orchestrator.artefacts import Site, SiteFile
from orchestrator.aws.errors import AwsError
from orchestrator.problems import Position
from orchestrator.release import ImageReference, Ledger, Pin, Release, ReleaseResult, Vector
from orchestrator.release.garbage_collection import DEFAULT_GRACE_DAYS, GarbageCollector
from orchestrator.release.ledger_store import LedgerStore
from orchestrator.release.release_retention import select_retained
from orchestrator.vocabulary import Component, DesiredState, Resource, Scope

NOW = datetime(2026, 11, 24, tzinfo=UTC)
ROOM = 17
"""Labels of one secret that AWS leaves for us, less those it moves about itself."""
OLD, YOUNG = NOW - timedelta(days=DEFAULT_GRACE_DAYS, hours=1), NOW - timedelta(hours=1)
DESIRED = DesiredState(
    Scope("shop", "prod", "123456789012", "eu-west-1"),
    tuple(
        Resource(kind, name, physical, {}, "", Position("shop.yaml"))
        for kind, name, physical in (
            ("s3_bucket", "web", "shop-web"),
            ("ecr_repository", "api", "shop-api"),
            ("secretsmanager_secret", "app", "shop-app"),
        )
    ),
)


def site(number: int) -> Site:
    """One of some sites that share a part; two that follow each other share another one."""
    names = ("index.html", f"assets/app-{number}.js", "assets/shared.js", f"assets/pair-{number // 2}.js")
    files = {name: SiteFile(1, "", f"{name}-{number}", "text/html", "no-cache", name == "index.html") for name in names}
    return Site(f"site{number}", files)


class Cloud:
    """An AWS in memory: keys by bucket, images, and labels of secret versions, with their age."""

    def __init__(self, ages: dict[str, datetime]) -> None:
        self.ages = ages
        self.objects = {"shop-web": {"theirs.txt"}, "shop-releases": set[str]()}
        self.images: set[str] = set()
        self.subjects: dict[str, str] = {}
        self.tags: dict[str, list[str]] = {}
        self.labels: dict[str, set[str]] = {}
        for number in range(6):
            made = site(number)
            self.objects["shop-web"] |= set(made.files) | {f".orchestrator/site/{made.digest}"}
            self.objects["shop-releases"] |= {f"sites/shop-web/{made.digest}.json", f"bodies/index.html-{number}"}
            self.images.add(f"sha256:{number}")
            self.labels[f"version{number}"] = set()

    def call(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> Any:
        match operation:
            case "get_object":
                key = parameters["Key"]
                if key not in self.objects[parameters["Bucket"]]:
                    raise AwsError("s3", operation, "NoSuchKey", "gone")
                number = int(key.removesuffix(".json")[-1])
                return {"Body": io.BytesIO(canonical_json.dump(site(number))), "ETag": "x"}
            case "delete_objects":
                self.objects[parameters["Bucket"]] -= {item["Key"] for item in parameters["Delete"]["Objects"]}
            case "batch_delete_image":
                self.images -= {item["imageDigest"] for item in parameters["imageIds"]}
            case "update_secret_version_stage":
                added, taken = parameters.get("MoveToVersionId"), parameters.get("RemoveFromVersionId")
                self.labels[str(added or taken)] ^= {parameters["VersionStage"]}
                if sum(map(len, self.labels.values())) > ROOM:
                    raise AwsError(service, operation, "LimitExceededException", "too many labels")
        return {}

    def pages(
        self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None
    ) -> list[dict[str, Any]]:
        match operation:
            case "describe_images":
                found: list[dict[str, Any]] = [
                    {
                        "imageDigest": one,
                        "imagePushedAt": self.ages.get(one, OLD),
                        "imageTags": self.tags.get(one, []),
                        **({"subjectManifestDigest": self.subjects[one]} if one in self.subjects else {}),
                    }
                    for one in self.images
                ]
                return [{"imageDetails": found}]
            case "list_secret_version_ids":
                ages = enumerate(self.labels.items())
                listed = [
                    {"VersionId": v, "VersionStages": [*s], "CreatedDate": OLD + timedelta(days=n)}
                    for n, (v, s) in ages
                ]
                return [{"Versions": listed[::-1]}]
        keys = [key for key in self.objects[parameters["Bucket"]] if key.startswith(parameters["Prefix"])]
        return [{"Contents": [{"Key": key, "LastModified": self.ages.get(key, OLD)} for key in sorted(keys)]}]


numbers = st.integers(0, 5)
RESULTS: tuple[ReleaseResult, ...] = ("healthy", "healthy", "unproved", "failed", "started")
results = st.sampled_from(RESULTS)


@st.composite
def ledgers(draw: st.DrawFn) -> Ledger:
    """Histories of deploys and rollbacks, cut to what the project keeps."""
    contents = draw(st.lists(st.tuples(numbers, numbers, numbers, results), min_size=1, max_size=10))
    releases = tuple(
        Release(
            index,
            "2026-01-01T00:00:00Z",
            "ana",
            "",
            Vector(
                "m",
                {"containerservice.api": ImageReference(f"tag{image}", f"sha256:{image}")},
                {"bucket.web": f"site{shipped}"},
                {"secret.app": f"version{version}"},
            ),
            result,
        )
        for index, (image, shipped, version, result) in enumerate(contents, start=1)
    )
    chosen = draw(st.lists(st.sampled_from(releases), max_size=2))
    pins = tuple(Pin("site:bucket.web", "x", one.number, one.number, "", "ana") for one in chosen)
    ledger = Ledger(releases, pins=pins)
    return Ledger(select_retained(ledger, draw(st.integers(2, 4))), pins=pins)


def swept(ledger: Ledger, **ages: datetime) -> Cloud:
    cloud = Cloud(ages)
    assert GarbageCollector(cloud, LedgerStore(cloud, "shop-releases", "prod"), DESIRED, NOW).collect(ledger) == ()
    return cloud


@settings(max_examples=200, deadline=None)
@given(ledger=ledgers())
def test_no_release_that_can_come_back_loses_anything(ledger: Ledger) -> None:
    cloud = swept(ledger)
    complete = [release for release in ledger.releases if release.is_complete]
    sites = [site(int(release.vector.sites["bucket.web"][-1])) for release in complete]

    assert {path for shipped in sites for path in shipped.files} <= cloud.objects["shop-web"]
    assert {f"sites/shop-web/{shipped.digest}.json" for shipped in sites} <= cloud.objects["shop-releases"]
    assert {f"bodies/{shipped.files['index.html'].sha256}" for shipped in sites} <= cloud.objects["shop-releases"]
    assert {release.vector.images["containerservice.api"].digest for release in complete} <= cloud.images
    secrets = {release.vector.secrets["secret.app"] for release in complete}
    assert {version for version in secrets if not cloud.labels[version]} == set(), "AWS drops versions without a label"


@settings(max_examples=100, deadline=None)
@given(ledger=ledgers())
def test_a_pin_leads_to_a_release_that_is_kept(ledger: Ledger) -> None:
    assert all(ledger.find(pin.release) for pin in ledger.pins)


def release(number: int) -> Release:
    vector = Vector(
        "m", {"containerservice.api": ImageReference("t", f"sha256:{number}")}, {"bucket.web": f"site{number}"}
    )
    return Release(1, "", "ana", "", vector, "healthy")


def test_what_no_release_needs_goes() -> None:
    cloud = swept(Ledger((release(3),)))

    assert cloud.images == {"sha256:3"}
    assert cloud.objects["shop-releases"] == {"sites/shop-web/site3.json", "bodies/index.html-3"}
    assert "assets/app-2.js" not in cloud.objects["shop-web"]
    assert "assets/app-3.js" in cloud.objects["shop-web"]


def test_what_was_served_until_now_stays_although_an_older_site_had_it() -> None:
    """No release needs site 4 or 5, and 5 was served until an hour ago: pages of it are still open somewhere."""
    cloud = Cloud({"sites/shop-web/site5.json": YOUNG})
    GarbageCollector(cloud, LedgerStore(cloud, "shop-releases", "prod"), DESIRED, NOW).collect(Ledger((release(3),)))

    assert {"assets/app-5.js", "assets/pair-2.js"} <= cloud.objects["shop-web"]
    assert "assets/app-4.js" not in cloud.objects["shop-web"]


@pytest.mark.parametrize(("days", "stays"), [(0, False), (7, False), (8, True), (365, True)])
def test_a_manifest_says_how_long_open_pages_are_served(days: int, stays: bool) -> None:
    """``spa.graceDays``, from the moment at which the next site took over: a week and an hour ago."""
    cloud = Cloud({})
    spec = {"spa": {"dir": "dist", "graceDays": days}}
    desired = replace(DESIRED, components=(Component("Bucket", "web", spec, Position("shop.yaml")),))
    GarbageCollector(cloud, LedgerStore(cloud, "shop-releases", "prod"), desired, NOW).collect(Ledger((release(3),)))

    assert ("assets/app-2.js" in cloud.objects["shop-web"]) is stays


def test_an_sbom_stays_as_long_as_its_image() -> None:
    cloud = Cloud({})
    cloud.images = {"sha256:2", "sha256:3", "sha256:of2", "sha256:of3"}
    cloud.subjects = {"sha256:of2": "sha256:2", "sha256:of3": "sha256:3"}
    assert (
        GarbageCollector(cloud, LedgerStore(cloud, "shop-releases", "prod"), DESIRED, NOW).collect(
            Ledger((release(3),))
        )
        == ()
    )

    assert cloud.images == {"sha256:3", "sha256:of3"}


def test_layers_stay_for_two_weeks() -> None:
    """The next build may take them."""
    week = timedelta(days=7)
    cloud = Cloud({"sha256:1": NOW - week, "sha256:2": NOW - 3 * week, "sha256:4": NOW - week})
    cloud.tags = {"sha256:1": ["ab" * 32], "sha256:2": ["cd" * 32], "sha256:4": ["3f2a91"]}
    assert (
        GarbageCollector(cloud, LedgerStore(cloud, "shop-releases", "prod"), DESIRED, NOW).collect(
            Ledger((release(3),))
        )
        == ()
    )

    assert cloud.images == {"sha256:1", "sha256:3"}


def test_a_secret_has_room_for_so_many_labels() -> None:
    """The oldest that are needed get them, for those AWS would drop first; and they move on with the releases."""
    cloud = Cloud({})
    cloud.labels = {f"{number:08d}-of-secret": set() for number in range(60)}
    names = list(cloud.labels)
    for newest in (20, 45, 59):
        kept = names[max(0, newest - 29) : newest + 1]
        made = tuple(
            replace(release(1), vector=replace(release(1).vector, secrets={"secret.app": one})) for one in kept
        )
        assert (
            GarbageCollector(cloud, LedgerStore(cloud, "shop-releases", "prod"), DESIRED, NOW).collect(Ledger(made))
            == ()
        )
        assert [name for name, labels in cloud.labels.items() if labels] == kept[:16]


def test_what_is_not_ours_stays() -> None:
    assert "theirs.txt" in swept(Ledger((release(3),))).objects["shop-web"]


def test_what_is_young_stays() -> None:
    """It may belong to a deploy that is under way."""
    cloud = swept(Ledger((release(3),)), **{"sha256:1": YOUNG, "sites/shop-web/site1.json": YOUNG})

    assert "sha256:1" in cloud.images
    assert "assets/app-1.js" in cloud.objects["shop-web"]


def test_where_an_index_is_gone_nothing_is_removed() -> None:
    cloud = Cloud({})
    cloud.objects["shop-releases"].remove("sites/shop-web/site3.json")
    before = set(cloud.objects["shop-web"])

    said = GarbageCollector(cloud, LedgerStore(cloud, "shop-releases", "prod"), DESIRED, NOW).collect(
        Ledger((release(3),))
    )

    assert "the index of site site3 is missing" in said[0]
    assert cloud.objects["shop-web"] == before
