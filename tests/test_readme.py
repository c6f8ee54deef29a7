"""Test that the README and the pages of docs/ are true: their commands run, and print what the pages show.

In a ``console`` block a line that begins with ``$`` is a command, and the lines below it are its output, both streams
together; ``...`` stands for any lines, or for the rest of one.  Durations, times and digests are not compared.  The
commands of one page run in one folder, against one emulator.  A ``yaml`` block whose first line is ``# FILE.yaml`` is
that file.  A ``sh`` block has commands that need more than this machine: of these, the names of commands and options
are checked.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import fields
from pathlib import Path

import click
import pytest

from orchestrator.cli.main import COMMANDS, cli
from orchestrator.emulator import start
from orchestrator.manifest import explain
from orchestrator.problems import ExitCode
from orchestrator.state.server.settings import Settings
from tests import reference_tables
from tests.documentation import (
    CONSOLE_PAGES,
    DOCS,
    PAGES,
    README,
    ROOT,
    Page,
    masked,
    read_page,
    type_examples,
)

INDEX = DOCS / "README.md"
REFERENCE = DOCS / "reference"
OTHER_PAGES = ("CONTRIBUTING.md", "SECURITY.md", "ml/README.md", "orchestrator/emulator/README.md")
MAX_README_LINES = 120
STATE_SETTINGS = {str(setting.metadata.get("name", "State__Port")) for setting in fields(Settings)} | {"State__Secret"}
VARIABLE = re.compile(r"\bORCHESTRATOR_[A-Z_]+\b")
LINKED_PAGES = [*PAGES, *(read_page(ROOT / name) for name in OTHER_PAGES)]
PAGES_WITH_EXAMPLES = [page for page in PAGES if page.name not in CONSOLE_PAGES and any(page.examples())]


def parse(command: click.Command, words: list[str]) -> None:
    """Parse arguments; a file may be missing, because it is the reader's."""
    try:
        command.make_context(command.name, words, resilient_parsing=False)
    except click.BadParameter as error:
        if error.param is None or not isinstance(error.param.type, click.Path):
            raise


def type_words(words: list[str]) -> None:
    """Parse a command line without its program; a command or an option that does not exist is an error."""
    command: click.Command | None = cli
    context, line = click.Context(cli), shlex.join(words)
    while isinstance(command, click.Group) and words and re.fullmatch(r"[a-z]+", words[0]):
        command = command.get_command(context, words[0])
        assert command is not None, line
        context, words = click.Context(command, info_name=words[0]), words[1:]
    assert command is not None
    if words:
        parse(command, words)


def page_name(page: Page) -> str:
    return page.name


@pytest.mark.slow
@pytest.mark.timeout(480)
@pytest.mark.parametrize("page", PAGES_WITH_EXAMPLES, ids=page_name)
def test_every_command_prints_what_the_page_shows(page: Page, tmp_path: Path) -> None:
    """From the first line to the last, in one go, as a newcomer would; the account is empty at first."""
    with start() as emulator:
        wrong = type_examples(page, tmp_path, emulator.environment)
    assert not wrong, "\n\n".join(wrong)


def test_the_emulator_prints_what_the_pages_show() -> None:
    """The lines to paste are those that `orchestrator emulator` prints."""
    shown = [
        example.output for page in PAGES for example in page.examples() if example.command == "orchestrator emulator"
    ]
    with start() as emulator:
        lines = [f"export {name}={shlex.quote(value)}" for name, value in emulator.environment.items()]

    assert shown
    for output in shown:
        assert masked(output).splitlines()[1:] == masked("\n".join(lines)).splitlines()


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_command_line_can_be_typed(page: Page) -> None:
    """No page names a command or an option that does not exist."""
    for line in page.command_lines():
        type_words(shlex.split(re.split(r" [|>&#]", line)[0])[1:])


def test_every_command_is_documented() -> None:
    """The reference has all commands, and the README names no other."""
    commands = re.compile(r"^\| `orchestrator (\w+)", re.MULTILINE)

    assert set(commands.findall((REFERENCE / "commands.md").read_text())) == set(COMMANDS)
    assert set(commands.findall(README.read_text())) < set(COMMANDS)


def test_every_exit_code_is_documented() -> None:
    """The table of exit codes has all of them, and no other."""
    table = (REFERENCE / "commands.md").read_text().split("| exit code |")[1]
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}

    assert codes == set(map(int, ExitCode))


def test_every_setting_is_documented() -> None:
    """The reference has every variable that the code reads, and no other, and every setting of the state service."""
    page = (REFERENCE / "settings.md").read_text()
    sources = [*(ROOT / "orchestrator").rglob("*.py"), *(ROOT / ".github" / "workflows").glob("*.yml")]
    variables = {name for path in sources for name in VARIABLE.findall(path.read_text())}

    assert set(VARIABLE.findall(page)) == variables
    assert set(re.findall(r"`((?:State|GitHub):\w+)`", page)) == {name.replace("__", ":") for name in STATE_SETTINGS}


@pytest.mark.parametrize("marker", reference_tables.TABLES)
def test_the_tables_of_the_reference_are_current(marker: str) -> None:
    """`python -m tests.reference_tables` writes them."""
    file, render = reference_tables.TABLES[marker]
    page = (REFERENCE / file).read_text()

    assert reference_tables.insert_table(page, marker, render()) == page
    with pytest.raises(ValueError, match="has no"):
        reference_tables.insert_table("a", marker, "new")


@pytest.mark.parametrize("name", reference_tables.KINDS)
def test_every_kind_has_a_current_page_with_all_of_its_fields(name: str) -> None:
    """`python -m tests.reference_tables` writes it; each field has a description."""
    page = (REFERENCE / "kinds" / f"{name}.md").read_text()
    fields = [field for field in explain.describe_fields(name) if field.path.startswith("spec.")]

    assert page == reference_tables.render_kind(name)
    assert len(fields) >= 8
    assert all(f"`{field.path.removeprefix('spec.')}`" in page and field.description for field in fields)


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_make_target_that_is_named_exists(page: Page) -> None:
    """`make x` can be typed."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    named = re.findall(r"(?:`|^)make ([a-z]+)", page.text, re.MULTILINE)

    assert set(named) <= targets


@pytest.mark.parametrize("page", LINKED_PAGES, ids=page_name)
def test_every_link_leads_somewhere(page: Page) -> None:
    """Files that are linked exist, and so do headings."""
    broken = []
    for target in page.links():
        file, _, anchor = target.partition("#")
        path = (page.path.parent / file).resolve() if file else page.path
        if not path.exists() or (anchor and anchor not in read_page(path).anchors()):
            broken.append(target)

    assert broken == []


def test_the_index_lists_every_page_and_the_pictures_are_used() -> None:
    """No page and no picture is left that nobody finds."""
    linked = {(DOCS / target).resolve() for target in read_page(INDEX).links()}
    used = {(page.path.parent / target).resolve() for page in PAGES for target in page.links()}

    assert [page.name for page in PAGES if page.path not in {README, INDEX} and page.path not in linked] == []
    assert [path.name for path in (DOCS / "pictures").iterdir() if path not in used] == []


def test_the_readme_is_one_page() -> None:
    """What is longer has a page of its own."""
    assert len(README.read_text().splitlines()) <= MAX_README_LINES
