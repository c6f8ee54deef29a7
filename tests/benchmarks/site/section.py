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
MISSING_TEXT = "not on this machine"


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
                memory = _memory_row(environment, Path(folder))
        except ToolUnavailableError as error:
            return [*call_rows, Row(f"site of {FILE_COUNT:,} files: wall time", str(error), MISSING_TEXT, None, None)]
    return [*_comparison_rows(walls, rounds), memory, *call_rows]


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
    """Compare with each peer; only s5cmd, the fastest, has a target."""
    peers = [tool.name for tool in list_available()]
    title = f"site of {FILE_COUNT:,} files"
    table_rows = [_peer_row(f"{title}, first upload", walls.first, name, rounds) for name in peers]
    table_rows += [_peer_row(f"{title}, rebuild without changes", walls.fresh, name, rounds) for name in peers]
    if "s5cmd" not in peers:
        return [*table_rows, Row(f"{title}, first upload", "", f"s5cmd: {MISSING_TEXT}", None, 1.0)]
    title_template = f"{title}, rebuild without changes, {{}}: wall time vs s5cmd on untouched files"
    table_rows.append(
        _fresh_build_row(
            walls,
            title_template.format("within a deploy"),
            rounds,
            lambda run: _read_output_seconds(run, LOOK_SECONDS_FIELD),
        )
    )
    own_process_text = "in its own process without hashing"
    table_rows.append(
        _fresh_build_row(
            walls,
            title_template.format(own_process_text),
            rounds,
            lambda run: run.wall - _read_output_seconds(run, HASH_SECONDS_FIELD),
        )
    )
    client_walls, peer_walls = ([run.wall for run in runs] for runs in (walls.client, walls.untouched["s5cmd"]))
    client_title = f"{BOTOCORE_CLIENT_TOOL.name}: wall time vs s5cmd on untouched files"
    return [
        *table_rows,
        Row(
            client_title,
            format_seconds(client_walls),
            format_seconds(peer_walls),
            median_ratio(client_walls, peer_walls),
            None,
            str(rounds),
        ),
    ]


def _peer_row(title: str, samples: Mapping[str, list[Sample]], peer: str, rounds: int) -> Row:
    our_samples, peer_samples = samples[ORCHESTRATOR_TOOL.name], samples[peer]
    target = 1.0 if peer == "s5cmd" else None
    walls = [sample.wall for sample in our_samples], [sample.wall for sample in peer_samples]
    ours, theirs = (
        f"{format_seconds(s.wall for s in sample_list)}, {format_megabytes(s.peak for s in sample_list)}"
        for sample_list in (our_samples, peer_samples)
    )
    return Row(f"{title}: wall time, peak memory vs {peer}", ours, theirs, median_ratio(*walls), target, str(rounds))


def _fresh_build_row(walls: WallTimes, title: str, rounds: int, part: Callable[[Sample], float]) -> Row:
    """Compare our rebuild with a peer's run on untouched files: peers compare times, and would upload a rebuild."""
    our_walls = [part(sample) for sample in walls.fresh[ORCHESTRATOR_TOOL.name]]
    peer_walls = [sample.wall for sample in walls.untouched["s5cmd"]]
    return Row(
        title,
        format_seconds(our_walls),
        format_seconds(peer_walls),
        median_ratio(our_walls, peer_walls),
        0.3,
        str(rounds),
    )


def _read_output_seconds(run: Sample, position: int) -> float:
    """Return a number of seconds from the output of our process."""
    return float(run.output.split()[position])


def _memory_row(environment: Mapping[str, str], folder: Path) -> Row:
    site = folder / "many"
    files.write_site(site, LARGE_FILE_COUNT)
    _create_buckets(environment, "memory", STORE)
    peak = _require_success(ORCHESTRATOR_TOOL.run(environment, site, "memory"), ORCHESTRATOR_TOOL).peak
    limit_text = f"limit {MAX_MEMORY_MB} MB"
    title = f"site of {LARGE_FILE_COUNT:,} files, first upload: peak memory"
    return Row(title, format_megabytes([peak]), limit_text, peak / 1e6 / MAX_MEMORY_MB, 1.0, "1")


def _call_rows(folder: Path) -> list[Row]:
    """Count the S3 calls with the emulator."""
    site = folder / "counted"
    with run_emulator() as aws:
        _create_buckets(aws.environment, "web", STORE)

        def count_calls(*more: str) -> tuple[Counter[str], str]:
            aws.forget_calls()
            sample = _require_success(ORCHESTRATOR_TOOL.run(aws.environment, site, "web", *more), ORCHESTRATOR_TOOL)
            return Counter(call["operation"] for call in aws.calls()), sample.output.split()[-1]

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
