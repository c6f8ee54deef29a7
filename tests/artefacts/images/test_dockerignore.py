"""Which files the builder sees: by the rules of .dockerignore, and as a real builder sees them."""

from __future__ import annotations

import json
import subprocess
from itertools import product
from pathlib import Path

import pytest

from orchestrator import shell
from orchestrator.artefacts.images import dockerignore
from orchestrator.artefacts.images.build_inputs import Recipe, compute_tag
from orchestrator.artefacts.images.ignore_rules import parse_rules
from orchestrator.problems import Problems
from tests.artefacts.images.builder_store import use_private_store

TREE = (
    "a.txt",
    "b.md",
    "docs/a.md",
    "docs/keep/a.md",
    "docs/keep/b.txt",
    "src/a.py",
    "src/bin/x.o",
    "src/deep/bin/y.o",
)

CASES = [
    ("", set(TREE)),
    ("# docs\n\n", set(TREE)),
    ("docs", {"a.txt", "b.md", "src/a.py", "src/bin/x.o", "src/deep/bin/y.o"}),
    ("/docs/", {"a.txt", "b.md", "src/a.py", "src/bin/x.o", "src/deep/bin/y.o"}),
    ("./docs/../docs", {"a.txt", "b.md", "src/a.py", "src/bin/x.o", "src/deep/bin/y.o"}),
    ("*.md", set(TREE) - {"b.md"}),
    ("**/*.md", {"a.txt", "docs/keep/b.txt", "src/a.py", "src/bin/x.o", "src/deep/bin/y.o"}),
    ("**/bin", set(TREE) - {"src/bin/x.o", "src/deep/bin/y.o"}),
    ("*/bin", set(TREE) - {"src/bin/x.o"}),
    ("docs\n!docs/keep", set(TREE) - {"docs/a.md"}),
    ("!docs/keep\ndocs", {"a.txt", "b.md", "src/a.py", "src/bin/x.o", "src/deep/bin/y.o"}),
    ("*\n!src/**/*.o", {"src/bin/x.o", "src/deep/bin/y.o"}),
    ("**\n!a.txt", {"a.txt"}),
    ("?.md", set(TREE) - {"b.md"}),
    ("[ab].*", set(TREE) - {"a.txt", "b.md"}),
    ("[^a].*", set(TREE) - {"b.md"}),
    ("a.tx", set(TREE)),
]


@pytest.fixture
def context(tmp_path: Path) -> Path:
    found = tmp_path / "context"
    for name in TREE:
        (found / name).parent.mkdir(parents=True, exist_ok=True)
        (found / name).write_text(name)
    return found


def seen(context: Path, text: str) -> set[str]:
    file = context.parent / "ignore"
    file.write_text(text)
    return {path for path, _ in dockerignore.walk(context, dockerignore.read_patterns(file))}


def built(context: Path, text: str, folder: Path) -> set[str]:
    """The files that buildah copies into an image."""
    (folder / "ignore").write_text(text)
    dockerfile = folder / "Dockerfile"
    dockerfile.write_text("FROM scratch\nCOPY . /\n")
    words = ["buildah", "build", "-q", "-f", dockerfile, "--ignorefile", folder / "ignore", "-t", "x", context]
    subprocess.run(list(map(str, words)), check=True, capture_output=True)
    made = subprocess.run(["buildah", "from", "x"], check=True, capture_output=True, text=True).stdout.strip()
    root = subprocess.run(["buildah", "mount", made], check=True, capture_output=True, text=True).stdout.strip()
    found = {str(path.relative_to(root)) for path in Path(root).rglob("*") if path.is_file()}
    subprocess.run(["buildah", "rm", made], check=True, capture_output=True)
    return found


@pytest.mark.parametrize(("text", "left"), CASES)
def test_the_last_pattern_that_matches_decides(context: Path, text: str, left: set[str]) -> None:
    """Comments, exceptions, any number of folders, paths written in other ways."""
    assert seen(context, text) == left


@pytest.mark.skipif(shell.which("buildah") is None, reason="needs buildah")
@pytest.mark.parametrize("text", ["docs\n!docs/keep", "**/*.md", "*\n!src", "[ab].*"])
def test_a_real_builder_sees_the_same(
    context: Path, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """buildah copies into the image exactly the files that the tag covers."""
    use_private_store(tmp_path, monkeypatch)

    assert built(context, text, tmp_path) == seen(context, text)


def test_the_dockerfiles_own_file_comes_first(context: Path) -> None:
    """NAME.dockerignore beside the Dockerfile is used instead of the context's."""
    (context / ".dockerignore").write_text("docs")
    dockerfile = context.parent / "api.Dockerfile"
    assert dockerignore.find_ignore_file(context, dockerfile) == context / ".dockerignore"
    own = context.parent / "api.Dockerfile.dockerignore"
    own.write_text("src")

    assert dockerignore.find_ignore_file(context, dockerfile) == own


@pytest.mark.parametrize(("text", "line"), [("a\n!\n", 2), ("[a\n", 1), ("ok\nx\\\n", 2)])
def test_what_is_no_pattern_is_said_at_its_line(context: Path, text: str, line: int) -> None:
    """The builder would refuse it too."""
    with pytest.raises(Problems) as found:
        seen(context, text)

    assert [problem.where and problem.where.line for problem in found.value.problems] == [line]


ANSWERS = json.loads((Path(__file__).parent / "dockerignore_answers.json").read_text())
"""What builders answered; its first field says which."""


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("answered")
    for name in ANSWERS["files"]:
        (found / "context" / name).parent.mkdir(parents=True, exist_ok=True)
        (found / "context" / name).write_text(name)
    return found


def test_the_tag_covers_what_any_builder_sees(answered: Path) -> None:
    """BuildKit, and what buildah and podman use: no file that one of them sees is left out; most are read exactly.

    ``**.md`` and ``**bin`` are why: BuildKit compares the end of the path, the others look for a file named ``.md``. As
    an allow-list (``*``, ``!**.md``) it once hid all of the source from the tag. Source: moby/patternmatcher,
    docker/cli#2919, moby/moby#40318, werf/werf#1710.
    """
    file, context = answered / "ignore", answered / "context"
    missed, inexact = [], []
    for case in ANSWERS["cases"]:
        file.write_bytes(case["text"].encode("utf-8", "surrogatepass"))
        answers = [set(case[builder]) for builder in ("buildkit", "containers") if case[builder] is not None]
        if not answers:
            continue
        rules = dockerignore.read_patterns(file)
        found = {path for path, _ in dockerignore.walk(context, rules)}
        missed += [case["text"] for answer in answers if not answer <= found]
        if case["exact"] and {path for path, _ in dockerignore.walk(context, rules[:1])} != answers[0]:
            inexact.append(case["text"])

    assert (missed, inexact) == ([], [])
    assert sum(case["exact"] for case in ANSWERS["cases"]) > 200


@pytest.mark.parametrize("text", ["*\n!**.md\n", "**.md", "**bin"])
def test_a_change_that_some_builder_sees_changes_the_tag(context: Path, text: str) -> None:
    """Both an allow-list and an exclusion of that kind."""
    recipe = Recipe(context, context.parent / "Dockerfile")
    recipe.dockerfile.write_text("FROM scratch\nCOPY . /\n")
    (context / ".dockerignore").write_text(text)
    before = compute_tag(recipe)
    (context / "docs" / "a.md").write_text("changed")

    assert compute_tag(recipe) != before


@pytest.mark.skipif(shell.which("buildah") is None, reason="needs buildah")
@pytest.mark.parametrize("text", ["*\n!**.md", "**bin", "\ufeff!docs", "! docs"])
def test_a_real_builder_sees_no_more(context: Path, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where builders differ, buildah copies at most what the tag covers."""
    use_private_store(tmp_path, monkeypatch)

    assert built(context, text, tmp_path) <= seen(context, text)


LINES = json.loads((Path(__file__).parent / "ignore_lines.json").read_text())
"""What moby's own matcher answers to every short line; its first field says how it was asked."""


def ask(text: str, paths: list[str]) -> str:
    """Return which paths BuildKit's reading ignores, as the answers are written."""
    try:
        reading = parse_rules(text, "ignore")[0]
    except Problems:
        return "x"
    bits = 0
    for path in paths:
        parts, matches, ignored = path.split("/"), reading.no_matches, False
        for length in range(1, len(parts) + 1):
            ignored, matches = reading.match("/".join(parts[:length]), matches)
        bits = bits << 1 | ignored
    return f"{bits:03x}"


def test_every_short_line_is_read_as_mobys_matcher_reads_it() -> None:
    """All lines of up to three atoms, alone and as an exception: no path that BuildKit sees is hidden from the tag.

    ``./ x``, ``** /`` and ``/!x`` are why: moby trims and cleans a pattern twice, so the last is an exception.
    """
    atoms, paths, answers = LINES["atoms"], LINES["paths"], LINES["answers"].split()
    lines = ["".join(parts) for length in (1, 2, 3) for parts in product(atoms, repeat=length)]
    texts = [text for line in lines for text in (line, f"**\n!{line}")]
    wrong = []
    for text, answer in zip(texts, answers, strict=True):
        found = ask(text, paths)
        if found != answer:
            wrong.append((text, answer, found))

    assert wrong == []
    assert len(texts) > 3000
