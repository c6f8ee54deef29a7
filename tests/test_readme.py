"""The README tells the truth: its commands are run, and print what it says they print.

In a ``console`` block a line that begins with ``$`` is a command and the lines below it are what it prints, both
streams together; ``...`` stands for any lines, or for the rest of one.  Durations and digests are not compared.  In a
``sh`` block are commands that need more than this machine: of these, the options of ``orchestrator`` are checked.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from orchestrator.cli.main import COMMANDS, cli
from orchestrator.emulator import start
from orchestrator.problems import ExitCode

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
MASKS = (
    (re.compile(r"\b\d+(\.\d)? s\b"), "(time)"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "(digest)"),
    (re.compile(r"--allow [0-9a-f]{8}\b"), "--allow (token)"),
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:(port)"),
)


@dataclass(frozen=True)
class Example:
    """One command of the README and what it prints; the block of its ``section`` is on ``line``."""

    section: str
    line: int
    command: str
    output: str


def blocks(language: str) -> Iterator[tuple[int, str]]:
    """Every fenced block of a language: its place in the text, and what is in it without indentation."""
    for found in BLOCK.finditer(README):
        if found[2] == language:
            yield found.start(), re.sub(rf"^{found[1]}", "", found[3], flags=re.MULTILINE)


def examples() -> Iterator[Example]:
    for place, text in blocks("console"):
        section = re.findall(r"^## (.*)$", README[:place], re.MULTILINE)[-1]
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield Example(section, README[:place].count("\n") + 1, command, output)


EXAMPLES = list(examples())


def masked(text: str) -> str:
    for pattern, word in MASKS:
        text = pattern.sub(word, text)
    return text


def matches(expected: str, printed: str) -> bool:
    """Whether ``printed`` is ``expected``, where ``...`` stands for any lines, or for the rest of one."""
    pattern = "".join(map(_line, masked(expected).strip("\n").splitlines()))
    shown = "".join(f"{line.rstrip()}\n" for line in masked(printed).strip("\n").splitlines())
    return re.fullmatch(pattern, shown) is not None


def _line(line: str) -> str:
    if line.strip() == "...":
        return r"(?:.*\n)*?"
    return re.escape(line.removesuffix("...").rstrip()) + (r".*\n" if line.endswith("...") else r"\n")


class Reader:
    """Somebody who types the README's commands into one shell, with the token and digest that they are shown."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = {**environment, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        self._code = 0
        self._shown = ""

    def types(self, command: str) -> str:
        """What the terminal shows."""
        for pattern in (r"--allow [0-9a-f]{8}", r"--expect [0-9a-f]{64}"):
            if shown := re.findall(pattern, self._shown):
                command = re.sub(pattern, shown[-1], command)
        script = f"(exit {self._code}); {command.replace('make demo', 'orchestrator demo')}"
        done = subprocess.run(
            ["bash", "-c", script], cwd=self._folder, env=self._environment, text=True, timeout=280, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._code = done.returncode
        self._shown = done.stdout or self._shown
        return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(480)
def test_every_command_prints_what_the_readme_says(tmp_path: Path) -> None:
    """From the first line to the last, in one go, as a newcomer would; the real stack begins with an empty account."""
    shutil.copytree(ROOT / "manifests", tmp_path / "manifests")
    for _, text in blocks("yaml"):
        file = tmp_path / text.partition("\n")[0].removeprefix("# ")
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    wrong: list[str] = []
    with start() as emulator:
        reader = Reader(tmp_path, {**emulator.environment, "HOME": str(tmp_path), "LANG": "C.UTF-8"})
        for example in EXAMPLES:
            if example.command == "orchestrator emulator":
                continue
            printed = reader.types(example.command)
            if not matches(example.output, printed):
                wrong.append(f"README.md:{example.line}: $ {example.command}\n{printed}")
    assert not wrong, "\n\n".join(wrong)


def test_the_emulator_prints_what_the_readme_says() -> None:
    """The lines to paste are those that `orchestrator emulator` prints."""
    (said,) = [example.output for example in EXAMPLES if example.command == "orchestrator emulator"]
    with start() as emulator:
        lines = [f"export {name}={shlex.quote(value)}" for name, value in emulator.environment.items()]

    assert masked(said).splitlines()[1:] == masked("\n".join(lines)).splitlines()


@pytest.mark.parametrize("line", re.findall(r"^ *\$? ?(orchestrator [a-z].*)$", README, re.MULTILINE))
def test_every_command_line_can_be_typed(line: str) -> None:
    """No option or command of the README is one that there is not."""
    words = shlex.split(re.split(r" [|>&#]", line)[0])[1:]
    command = cli.get_command(click.Context(cli), words[0])

    assert command is not None
    command.make_context(words[0], words[1:], resilient_parsing=False)


def test_every_command_is_documented() -> None:
    """The table of commands has all of them."""
    assert set(re.findall(r"^\| `orchestrator (\w+)", README, re.MULTILINE)) == set(COMMANDS)


def test_every_exit_code_is_documented() -> None:
    """The table of exit codes has all of them, and no other."""
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", README.split("| exit code |")[1], re.MULTILINE)}

    assert told == set(map(int, ExitCode))


def test_every_make_target_that_is_named_exists() -> None:
    """`make x` can be typed."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    named = re.findall(r"(?:`|^)make ([a-z]+)", README, re.MULTILINE)

    assert set(named) <= targets


def test_every_link_leads_somewhere() -> None:
    """Files that are linked are there, and so are headings."""
    targets = re.findall(r"(?:\]\(|src=\")([^)\"]+)", README)
    titles = re.findall(r"^#+ (.*)$", README, re.MULTILINE)
    headings = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
    files = [target for target in targets if not target.startswith(("#", "https:"))]

    assert [file for file in files if not (ROOT / file).exists()] == []
    assert {target[1:] for target in targets if target.startswith("#")} <= headings
