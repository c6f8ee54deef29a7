"""How many calls a site takes, and how many bytes go up: what differs decides, not how large it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator import canonical_json
from orchestrator.artefacts import Site
from orchestrator.artefacts.sites.folder import scan
from tests.resources.test_s3_site import S3, STORE, WEB, build, ship


class Counted(S3):
    """Counts calls as S3 answers them: a listing has 1,000 keys a page."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.bodies = 0

    def call(self, service: str, operation: str, given: dict[str, Any], region: str | None = None) -> Any:
        self.calls.append(operation)
        self.bodies += bool(given.get("Body"))
        return super().call(service, operation, given, region)

    def pages(self, service: str, operation: str, given: dict[str, Any], region: str | None = None) -> list[Any]:
        found = super().pages(service, operation, given, region)
        self.calls += [operation] * (len(found[0]["Contents"]) // 1000 + 1)
        return found


def test_what_it_takes_depends_on_what_differs_not_on_the_size(tmp_path: Path) -> None:
    """2,001 files: a fresh build of the same bytes, ten other parts, and the way back."""
    parts = {f"assets/d{number % 20}/chunk{number}-a1{number:06x}b.js": str(number) for number in range(2000)}
    first = build(tmp_path, {"index.html": "one", **parts}, odd_types=False)
    s3 = Counted()

    def shipped(site: Site) -> tuple[int, int, int]:
        s3.calls, s3.bodies = [], 0
        ship(s3, site)
        return len(s3.calls), s3.calls.count("put_object"), s3.bodies

    assert shipped(first)[1] == 2001 + 4
    calls, puts, _ = shipped(scan(tmp_path))
    assert (calls <= 3, puts) == (True, 0)
    for path in list(parts)[:10]:
        (tmp_path / path).rename(tmp_path / path.replace("chunk", "other"))
    (tmp_path / "index.html").write_text("two")
    calls, puts, bodies = shipped(scan(tmp_path))
    assert (puts, bodies) == (11 + 4, 11 + 2), "ten parts and the front page, its copy, the index; two marks are empty"
    kept = canonical_json.load(s3.things[STORE, f"sites/{WEB}/{first.digest}.json"].body, Site)
    assert kept.folder is None
    calls, puts, bodies = shipped(kept)
    assert (1 + calls <= 10, puts, bodies) == (True, 2, 0), "with the index that says what it was; two marks are empty"
    assert s3.served()["index.html"][0] == b"one"
