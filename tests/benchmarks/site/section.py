"""Measure site deployments: wall times against a fast S3 server, calls with the emulator."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3

from tests.benchmarks.compared_tools import ToolError, ToolUnavailableError
from tests.benchmarks.emulator_process import EmulatorProcess, run_emulator
from tests.benchmarks.process import Sample
from tests.benchmarks.site import files
from tests.benchmarks.site.tools import (
    BOTOCORE_CLIENT_TOOL,
    ORCHESTRATOR_TOOL,
    STORE,
    Tool,
    list_available,
    run_s3_server,
)
from tests.benchmarks.table import Row, format_megabytes, format_seconds, median_ratio

FILE_COUNT = 2_001
LARGE_FILE_COUNT = 20_000
CHANGED_FILE_COUNT = 10
MAX_MEMORY_MB = 150
MAX_CALLS = 10
MAX_UNCHANGED_CALLS = 3
MAX_IMAGE_CALLS = 2
HASH_SECONDS_FIELD, LOOK_SECONDS_FIELD = -3, -2
"""Positions of the seconds in the output of our process."""
WARM_UP_OPERATION = "HeadBucket"
"""What our process calls before it measures, so that its client is one that has been used."""
MISSING_TEXT = "not on this machine"
UPLOAD_TARGETS = {"s5cmd": 1.0, "rclone": 1.0}
REBUILD_TARGETS = {"s5cmd": 1.0}
"""Bounds of wall times; tools that compare modification times upload a rebuild, rclone compares checksums."""
LOOK_TARGET = 0.3


@dataclass(slots=True)
class WallTimes:
    """Samples by tool: first upload, second run on untouched files, and a run after a rebuild without changes.

    ``client``: a Python process that only creates an S3 client.
    """

    first: dict[str, list[Sample]] = field(default_factory=dict)
    untouched: dict[str, list[Sample]] = field(default_factory=dict)
    fresh: dict[str, list[Sample]] = field(default_factory=dict)
    client: list[Sample] = field(default_factory=list)


def rows(rounds: int, on_progress: Callable[[str], None]) -> list[Row]:
    """Return all rows; without rclone there is no server, and only the calls are measured."""
    with tempfile.TemporaryDirectory() as folder:
        on_progress("site: calls ...")
        call_rows = _call_rows(Path(folder))
        try:
            with run_s3_server() as environment:
                on_progress("site: wall, all tools in turn ...")
                walls = _measure_walls(environment, Path(folder), rounds)
                on_progress("site: memory ...")
                memory = _memory_rows(environment, Path(folder))
        except ToolUnavailableError as error:
            return [*call_rows, Row(f"site of {FILE_COUNT:,} files: wall time", str(error), MISSING_TEXT, None, None)]
    return [*_comparison_rows(walls, rounds), *memory, *call_rows]


def _measure_walls(environment: Mapping[str, str], folder: Path, rounds: int) -> WallTimes:
    walls, site = WallTimes(), folder / "site"
    for number in range(rounds):
        for tool in (ORCHESTRATOR_TOOL, *list_available()):
            bucket = f"{tool.name.replace(' ', '-')}-{number}"
            _create_buckets(environment, bucket, STORE)
            files.write_site(site, FILE_COUNT)
            for samples in (walls.first, walls.untouched):
                samples.setdefault(tool.name, []).append(_require_success(tool.run(environment, site, bucket), tool))
            files.write_site(site, FILE_COUNT)
            walls.fresh.setdefault(tool.name, []).append(_require_success(tool.run(environment, site, bucket), tool))
        walls.client.append(_require_success(BOTOCORE_CLIENT_TOOL.run(environment, site, ""), BOTOCORE_CLIENT_TOOL))
    return walls


def _comparison_rows(walls: WallTimes, rounds: int) -> list[Row]:
    """Compare with each peer that is installed."""
    peers = [tool.name for tool in list_available()]
    title = f"site of {FILE_COUNT:,} files"
    table_rows = [
        _peer_row(f"{title}, {name}", samples, targets, peer, rounds)
        for name, samples, targets in (
            ("first upload", walls.first, UPLOAD_TARGETS),
            ("rebuild without changes", walls.fresh, REBUILD_TARGETS),
        )
        for peer in peers
    ]
    for peer in UPLOAD_TARGETS:
        if peer in peers:
            table_rows += _rebuild_rows(walls, f"{title}, rebuild without changes", peer, rounds)
        else:
            table_rows.append(Row(f"{title}, first upload", "", f"{peer}: {MISSING_TEXT}", None, 1.0))
    return table_rows


def _peer_row(
    title: str, samples: Mapping[str, list[Sample]], targets: Mapping[str, float], peer: str, rounds: int
) -> Row:
    our_samples, peer_samples = samples[ORCHESTRATOR_TOOL.name], samples[peer]
    walls = [sample.wall for sample in our_samples], [sample.wall for sample in peer_samples]
    ours, theirs = (
        f"{format_seconds(s.wall for s in sample_list)}, {format_megabytes(s.peak for s in sample_list)}"
        for sample_list in (our_samples, peer_samples)
    )
    ratio = median_ratio(*walls)
    return Row(f"{title}: wall time, peak memory vs {peer}", ours, theirs, ratio, targets.get(peer), str(rounds))


def _rebuild_rows(walls: WallTimes, title: str, peer: str, rounds: int) -> list[Row]:
    """Compare our rebuild with a peer's run on untouched files: most peers would upload a rebuild."""
    parts: tuple[tuple[str, Callable[[Sample], float], float | None], ...] = (
        ("within a deploy", lambda run: _read_output_seconds(run, LOOK_SECONDS_FIELD), LOOK_TARGET),
        (
            "within a deploy, with hashing",
            lambda run: sum(_read_output_seconds(run, field) for field in (HASH_SECONDS_FIELD, LOOK_SECONDS_FIELD)),
            None,
        ),
        ("in its own process", lambda run: run.wall, None),
    )
    peer_walls = [sample.wall for sample in walls.untouched[peer]]
    compared = [
        (f"{title}, {name}", [part(sample) for sample in walls.fresh[ORCHESTRATOR_TOOL.name]], target)
        for name, part, target in parts
    ]
    compared.append((BOTOCORE_CLIENT_TOOL.name, [run.wall for run in walls.client], None))
    return [
        Row(
            f"{name}: wall time vs {peer} on untouched files",
            format_seconds(our_walls),
            format_seconds(peer_walls),
            median_ratio(our_walls, peer_walls),
            target,
            str(rounds),
        )
        for name, our_walls, target in compared
    ]


def _read_output_seconds(run: Sample, position: int) -> float:
    """Return a number of seconds from the output of our process."""
    return float(run.output.split()[position])


def _memory_rows(environment: Mapping[str, str], folder: Path) -> list[Row]:
    """Measure the first upload of a large site, and the next one, which reads what is live and changes a few files."""
    site = folder / "many"
    _create_buckets(environment, "memory", STORE)
    table_rows = []
    for name, changed in (
        ("first upload", 0),
        (f"second deploy, {CHANGED_FILE_COUNT} files changed", CHANGED_FILE_COUNT),
    ):
        files.write_site(site, LARGE_FILE_COUNT, changed)
        peak = _require_success(ORCHESTRATOR_TOOL.run(environment, site, "memory"), ORCHESTRATOR_TOOL).peak
        title = f"site of {LARGE_FILE_COUNT:,} files, {name}: peak memory"
        limit_text = f"limit {MAX_MEMORY_MB} MB"
        table_rows.append(Row(title, format_megabytes([peak]), limit_text, peak / 1e6 / MAX_MEMORY_MB, 1.0, "1"))
    return table_rows


def _call_rows(folder: Path) -> list[Row]:
    """Count the S3 calls with the emulator."""
    site = folder / "counted"
    with run_emulator() as aws:
        _create_buckets(aws.environment, "web", STORE)

        def count_calls(*more: str) -> tuple[Counter[str], str]:
            aws.forget_calls()
            sample = _require_success(ORCHESTRATOR_TOOL.run(aws.environment, site, "web", *more), ORCHESTRATOR_TOOL)
            operations = Counter(call["operation"] for call in aws.calls())
            del operations[WARM_UP_OPERATION]
            return operations, sample.output.split()[-1]

        files.write_site(site, FILE_COUNT)
        first, first_digest = count_calls()
        files.write_site(site, FILE_COUNT)
        unchanged, _ = count_calls()
        files.write_site(site, FILE_COUNT, CHANGED_FILE_COUNT)
        changed, _ = count_calls()
        restored, _ = count_calls(first_digest)
        image = _count_image_calls(aws, folder / "image")
    puts, expected = changed["PutObject"], CHANGED_FILE_COUNT + 4
    constant = f"{CHANGED_FILE_COUNT} files, front page copy, index, two markers"
    unchanged_title = f"site of {FILE_COUNT:,} files, rebuild without changes"
    changed_title = f"{CHANGED_FILE_COUNT} files changed: PutObject calls (first upload: {first['PutObject']:,})"
    return [
        _bounded_row(
            f"{unchanged_title}: S3 calls ({unchanged['PutObject']} PutObject)",
            sum(unchanged.values()),
            MAX_UNCHANGED_CALLS,
        ),
        Row(changed_title, str(puts), constant, puts / expected, 1.0, "1"),
        _bounded_row("rollback to the previous site: S3 calls", sum(restored.values()), MAX_CALLS),
        _bounded_row("unchanged image: AWS calls, all services", image, MAX_IMAGE_CALLS),
    ]


def _count_image_calls(aws: EmulatorProcess, folder: Path) -> int:
    """Count a plan's calls for an image that is already in its repository."""
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY . /srv/\n")
    command = (sys.executable, "-m", "tests.benchmarks.site.image", str(folder))
    for action in ("push", "look"):
        aws.forget_calls()
        tool = Tool("orchestrator", (*command, action))
        _require_success(tool.run(aws.environment, folder, ""), tool)
    return len(aws.calls())


def _bounded_row(title: str, calls: int, limit: int) -> Row:
    return Row(title, str(calls), f"limit {limit}", calls / limit, 1.0, "1")


def _create_buckets(environment: Mapping[str, str], *names: str) -> None:
    s3: Any = boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region_name="eu-west-1",
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=environment.get("AWS_SESSION_TOKEN"),
    )
    existing = {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
    for name in names:
        if name not in existing:
            s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})


def _require_success(sample: Sample, tool: Tool) -> Sample:
    if sample.exit_code == 0:
        return sample
    raise ToolError(f"{tool.name} exited with {sample.exit_code}:\n{sample.output[-2000:]}")
