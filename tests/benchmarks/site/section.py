"""The rows about sites.  Wall times against one fast server, calls by the emulator, which counts them."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3

from tests.benchmarks.emulated import Emulated, emulator
from tests.benchmarks.process import Sample
from tests.benchmarks.site import files
from tests.benchmarks.site.tools import CLIENT, OURS, STORE, Tool, available, server
from tests.benchmarks.table import Row, megabytes, ratio, seconds
from tests.benchmarks.tools import Failed, Unfit

COUNT = 2_001
MANY = 20_000
CHANGED = 10
MOST_MEGABYTES = 150
MOST_CALLS = 10
MOST_LOOKS = 3
MOST_OF_AN_IMAGE = 2
HASHED, LOOKED = -3, -2
"""Words of what our process prints: seconds."""
MISSING = "not on this machine"


@dataclass(slots=True)
class Walls:
    """Samples by tool: the first upload, a second run untouched, and one after a fresh build of the same bytes.

    ``client`` is what a program in Python cannot do without.
    """

    first: dict[str, list[Sample]] = field(default_factory=dict)
    untouched: dict[str, list[Sample]] = field(default_factory=dict)
    fresh: dict[str, list[Sample]] = field(default_factory=dict)
    client: list[Sample] = field(default_factory=list)


def rows(rounds: int, told: Callable[[str], None]) -> list[Row]:
    """All of them; without rclone there is no server, and only calls and memory are told."""
    with tempfile.TemporaryDirectory() as folder:
        told("site: calls ...")
        found = _calls(Path(folder))
        try:
            with server() as environment:
                told("site: wall, all tools in turn ...")
                walls = _walls(environment, Path(folder), rounds)
                told("site: memory ...")
                memory = _memory(environment, Path(folder))
        except Unfit as unfit:
            return [*found, Row(f"site of {COUNT:,} files: wall", str(unfit), MISSING, None, None)]
    return [*_compared(walls, rounds), memory, *found]


def _walls(environment: Mapping[str, str], folder: Path, rounds: int) -> Walls:
    found, site = Walls(), folder / "site"
    for number in range(rounds):
        for tool in (OURS, *available()):
            bucket = f"{tool.name.replace(' ', '-')}-{number}"
            _buckets(environment, bucket, STORE)
            files.write(site, COUNT)
            for samples in (found.first, found.untouched):
                samples.setdefault(tool.name, []).append(_sound(tool.run(environment, site, bucket), tool))
            files.write(site, COUNT)
            found.fresh.setdefault(tool.name, []).append(_sound(tool.run(environment, site, bucket), tool))
        found.client.append(_sound(CLIENT.run(environment, site, ""), CLIENT))
    return found


def _compared(walls: Walls, rounds: int) -> list[Row]:
    """Ours against each peer; a target only against s5cmd, the fastest of them."""
    peers = [tool.name for tool in available()]
    what = f"site of {COUNT:,} files"
    found = [_row(f"{what}: first upload", walls.first, name, rounds) for name in peers]
    found += [_row(f"{what}: fresh build, same bytes", walls.fresh, name, rounds) for name in peers]
    if "s5cmd" not in peers:
        return [*found, Row(f"{what}: first upload", "", f"s5cmd: {MISSING}", None, 1.0)]
    against = f"{what}: fresh build, {{}}, against an untouched run"
    found.append(_without(walls, against.format("in a deploy that runs"), rounds, lambda run: _told(run, LOOKED)))
    alone = "less hashing, as a process of its own"
    found.append(_without(walls, against.format(alone), rounds, lambda run: run.wall - _told(run, HASHED)))
    client, theirs = ([run.wall for run in runs] for runs in (walls.client, walls.untouched["s5cmd"]))
    floor = f"{CLIENT.name}, against an untouched run of s5cmd"
    return [*found, Row(floor, seconds(client), seconds(theirs), ratio(client, theirs), None, str(rounds))]


def _row(what: str, samples: Mapping[str, list[Sample]], peer: str, rounds: int) -> Row:
    mine, others = samples[OURS.name], samples[peer]
    target = 1.0 if peer == "s5cmd" else None
    walls = [sample.wall for sample in mine], [sample.wall for sample in others]
    ours, theirs = (f"{seconds(s.wall for s in of)}, {megabytes(s.peak for s in of)}" for of in (mine, others))
    return Row(f"{what}: wall, memory, against {peer}", ours, theirs, ratio(*walls), target, str(rounds))


def _without(walls: Walls, what: str, rounds: int, part: Callable[[Sample], float]) -> Row:
    """They compare times and sizes and read nothing, so a fresh build is all new to them."""
    mine = [part(sample) for sample in walls.fresh[OURS.name]]
    theirs = [sample.wall for sample in walls.untouched["s5cmd"]]
    return Row(f"{what} of s5cmd", seconds(mine), seconds(theirs), ratio(mine, theirs), 0.3, str(rounds))


def _told(run: Sample, word: int) -> float:
    """What our process says of itself."""
    return float(run.output.split()[word])


def _memory(environment: Mapping[str, str], folder: Path) -> Row:
    site = folder / "many"
    files.write(site, MANY)
    _buckets(environment, "memory", STORE)
    peak = _sound(OURS.run(environment, site, "memory"), OURS).peak
    most = f"{MOST_MEGABYTES} MB at most"
    what = f"site of {MANY:,} files, first upload: memory"
    return Row(what, megabytes([peak]), most, peak / 1e6 / MOST_MEGABYTES, 1.0, "1")


def _calls(folder: Path) -> list[Row]:
    """What S3 is asked, by the emulator's count."""
    site = folder / "counted"
    with emulator() as aws:
        _buckets(aws.environment, "web", STORE)

        def counted(*more: str) -> tuple[Counter[str], str]:
            aws.forget_calls()
            sample = _sound(OURS.run(aws.environment, site, "web", *more), OURS)
            return Counter(call["operation"] for call in aws.calls()), sample.output.split()[-1]

        files.write(site, COUNT)
        first, before = counted()
        files.write(site, COUNT)
        same, _ = counted()
        files.write(site, COUNT, CHANGED)
        changed, _ = counted()
        back, _ = counted(before)
        image = _image_calls(aws, folder / "image")
    puts, expected = changed["PutObject"], CHANGED + 4
    constant = f"{CHANGED}, the front page's copy, the index, two marks"
    what = f"site of {COUNT:,} files, fresh build, same bytes"
    told = f"{CHANGED} files changed: puts ({first['PutObject']:,} at first)"
    return [
        _bounded(f"{what}: calls ({same['PutObject']} of them puts)", sum(same.values()), MOST_LOOKS),
        Row(told, str(puts), constant, puts / expected, 1.0, "1"),
        _bounded("the site before comes back: calls", sum(back.values()), MOST_CALLS),
        _bounded("unchanged image: calls, of any service", image, MOST_OF_AN_IMAGE),
    ]


def _image_calls(aws: Emulated, folder: Path) -> int:
    """What a plan asks of an image whose build is in its repository already."""
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY . /srv/\n")
    command = (sys.executable, "-m", "tests.benchmarks.site.image", str(folder))
    for what in ("push", "look"):
        aws.forget_calls()
        tool = Tool("orchestrator", (*command, what))
        _sound(tool.run(aws.environment, folder, ""), tool)
    return len(aws.calls())


def _bounded(what: str, calls: int, most: int) -> Row:
    return Row(what, str(calls), f"{most} at most", calls / most, 1.0, "1")


def _buckets(environment: Mapping[str, str], *names: str) -> None:
    s3: Any = boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region_name="eu-west-1",
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=environment.get("AWS_SESSION_TOKEN"),
    )
    there = {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
    for name in names:
        if name not in there:
            s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})


def _sound(sample: Sample, tool: Tool) -> Sample:
    if sample.exit_code == 0:
        return sample
    raise Failed(f"{tool.name} ended with {sample.exit_code}:\n{sample.output[-2000:]}")
