"""The pages of the documentation: their blocks, their commands, and what these print."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
DOCS = ROOT / "docs"
PROGRAMS = Path(sys.executable).parent
CONSOLE_PAGES = ("docs/how-to/rotate-secrets.md",)
"""Pages whose `console` blocks need more than manifests: tests/command_blocks runs them."""
BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"# (\S+\.yaml)\n")
COMMAND_LINE = re.compile(r"^(?:\$ )?(orchestrator [a-z].*)$", re.MULTILINE)
INLINE_COMMAND = re.compile(r"`(orchestrator [a-z][^`\n]*)`")
MASKS = (
    (re.compile(r"\b(\d+m\d\d|\d+(\.\d)? ?)s\b"), "(time)"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\dZ?"), "(moment)"),
    (re.compile(r"\b\d{8}T\d{6}\b"), "(moment)"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "(digest)"),
    (re.compile(r"--allow [0-9a-f]{8}\b"), "--allow (token)"),
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:(port)"),
    (re.compile(r"\b[a-z0-9]+\.cloudfront\.net"), "(domain).cloudfront.net"),
)


@dataclass(frozen=True)
class Example:
    """One command of a page and its output; its block is on ``line``."""

    line: int
    command: str
    output: str


@dataclass(frozen=True)
class Page:
    """A Markdown file of the documentation."""

    path: Path
    text: str

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    def blocks(self, language: str) -> Iterator[tuple[int, str]]:
        """Yield every fenced block of a language: its position, and its text without indentation."""
        for match in BLOCK.finditer(self.text):
            if match[2] == language:
                yield match.start(), re.sub(rf"^{match[1]}", "", match[3], flags=re.MULTILINE)

    def examples(self) -> Iterator[Example]:
        for position, text in self.blocks("console"):
            for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                command, _, output = part.partition("\n")
                yield Example(self.text[:position].count("\n") + 1, command, output)

    def command_lines(self) -> Iterator[str]:
        """Yield every line and every inline code that calls the orchestrator."""
        for language in ("console", "sh", "text"):
            for _, text in self.blocks(language):
                yield from COMMAND_LINE.findall(text)
        yield from INLINE_COMMAND.findall(self.text)

    def anchors(self) -> set[str]:
        titles = re.findall(r"^#+ (.*)$", self.text, re.MULTILINE)
        return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}

    def links(self) -> list[str]:
        targets = re.findall(r"(?:\]\(|src=\")([^)\"\s]+)", re.sub(r"```.*?```", "", self.text, flags=re.DOTALL))
        return [target for target in targets if not target.startswith(("https:", "http:", "mailto:"))]


def read_page(path: Path) -> Page:
    return Page(path, path.read_text())


PAGES = [read_page(path) for path in (README, *sorted(DOCS.rglob("*.md")))]


def masked(text: str) -> str:
    for pattern, word in MASKS:
        text = pattern.sub(word, text)
    return text


def matches(expected: str, printed: str) -> bool:
    """Return whether ``printed`` is ``expected``, where ``...`` stands for any lines, or for the rest of one."""
    pattern = "".join(map(_line_pattern, masked(expected).strip("\n").splitlines()))
    shown = "".join(f"{line.rstrip()}\n" for line in masked(printed).strip("\n").splitlines())
    return re.fullmatch(pattern, shown) is not None


def _line_pattern(line: str) -> str:
    if line.strip() == "...":
        return r"(?:.*\n)*?"
    return re.escape(line.removesuffix("...").rstrip()) + (r".*\n" if line.endswith("...") else r"\n")


class Reader:
    """A reader who types a page's commands into one shell, with the token and digest that the shell shows."""

    def __init__(self, folder: Path, environment: Mapping[str, str], programs: Path) -> None:
        self._folder = folder
        self._environment = {**environment, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
        self._exit_code = 0
        self._output = ""

    def type(self, command: str) -> str:
        """Return what the terminal shows."""
        if command.startswith("cd "):
            self._folder /= command.removeprefix("cd ")
            return ""
        for pattern in (r"--allow [0-9a-f]{8}", r"--expect [0-9a-f]{64}"):
            if shown := re.findall(pattern, self._output):
                command = re.sub(pattern, shown[-1], command)
        script = f"(exit {self._exit_code}); {command.replace('make demo', 'orchestrator demo')}"
        done = subprocess.run(
            ["bash", "-c", script], cwd=self._folder, env=self._environment, text=True, timeout=280, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._exit_code = done.returncode
        self._output = done.stdout or self._output
        return done.stdout


def type_examples(page: Page, folder: Path, environment: Mapping[str, str], programs: Path = PROGRAMS) -> list[str]:
    """Type a page's examples against the emulator of ``environment``; return those that print something else.

    ``folder`` is empty, and gets the manifests of this repository and the files of the page.  ``programs`` has the
    command.
    """
    shutil.copytree(ROOT / "manifests", folder / "manifests")
    for _, text in page.blocks("yaml"):
        if name := FILE_NAME.match(text):
            file = folder / name[1]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    wrong: list[str] = []
    reader = Reader(folder, {**environment, "HOME": str(folder), "LANG": "C.UTF-8"}, programs)
    for example in page.examples():
        if example.command == "orchestrator emulator":
            continue
        printed = reader.type(example.command)
        if not matches(example.output, printed):
            wrong.append(f"{page.name}:{example.line}: $ {example.command}\n{printed}")
    return wrong
