"""Facts that keep the house. A limit here only ever goes down."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import orchestrator
from orchestrator.cli.commands.github import COMMANDS as GITHUB_COMMANDS
from orchestrator.cli.main import COMMANDS
from tests import conftest, layer_table
from tests.user_strings import list_strings, parse

pytestmark = pytest.mark.xdist_group("house")  # one worker parses all files once
ROOT = Path(__file__).parent.parent
SHIPPED = sorted(path for top in ("orchestrator", "ml") for path in (ROOT / top).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))

LONGEST_FILE = 500
LONGEST_FUNCTION = 45
USUAL_FUNCTION = 25
UNFINISHED = re.compile("|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "raise Not" + "ImplementedError")))
COMMAND = re.compile(r"`orchestrator ([a-z]+)")
PATCHING = re.compile(r"mock\.patch|import patch|\.setattr" + r"\(|mocker")
HEAVY = {"boto3", "botocore", "rich", "jsonschema", "fastapi", "sqlalchemy", "moto", "tensorflow"}


@cache
def walk(path: Path) -> tuple[ast.AST, ...]:
    """All nodes of a file, for all tests of this process."""
    return tuple(ast.walk(parse(path)))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions() -> Iterator[tuple[str, int]]:
    for path in SHIPPED:
        if "migrations" in path.parts:  # one list of statements, frozen once it has run anywhere
            continue
        for node in walk(path):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{name(path)}:{node.lineno} {node.name}", (node.end_lineno or node.lineno) - node.lineno + 1


def lines_matching(pattern: re.Pattern[str], paths: list[Path]) -> list[str]:
    return [
        f"{name(path)}:{number}: {line.strip()}"
        for path in paths
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if pattern.search(line)
    ]


def test_no_file_is_long() -> None:
    """A file is read in one sitting."""
    lengths = {name(path): len(path.read_text().splitlines()) for path in SHIPPED}

    assert {path: lines for path, lines in lengths.items() if lines > LONGEST_FILE} == {}


def test_no_function_is_long() -> None:
    """A function is seen whole."""
    assert [(where, lines) for where, lines in functions() if lines > LONGEST_FUNCTION] == []


def test_nine_functions_of_ten_are_short() -> None:
    """The longest are few."""
    measured = sorted(functions(), key=lambda item: -item[1])
    long = [(where, lines) for where, lines in measured if lines > USUAL_FUNCTION]

    assert len(long) <= len(measured) / 10, long


def test_nothing_is_left_for_later() -> None:
    """What is in the tree is done."""
    assert lines_matching(UNFINISHED, [*SHIPPED, *TESTS]) == []


def test_no_module_is_a_drawer() -> None:
    """A module is named after what it knows."""
    drawers = {"utils", "util", "helpers", "helper", "misc", "common"}

    assert [name(path) for path in [*SHIPPED, *TESTS] if path.stem in drawers or path.parent.name in drawers] == []


LITERARY_TEXT = """
told tell tells telling said say saying seen sees known knows wanted wants made makes kept keeps given gives found finds
deed deeds way ways begun brought goes comes lets lasts beats outlasts longest enough gone there forever obedient
standing stands strangers crowd desk shelf mood weaving gist thing things who whom why whole worth ours theirs everybody
nobody somebody trouble
"""
LITERARY_WORDS = frozenset(re.findall(r"[a-z]+", LITERARY_TEXT))
"""Words that name nothing in this field (docs/architecture.md, "Words"); no name holds one."""
FIELD_TERMS = ("not_found", "is_known", "known_hosts")
PERSISTED_NAMES = {
    "AuditEntry.deed",
    "ImageCheck.trouble", "DriftDecision.deed", "HistoryFilter.deed", "ReleaseRow.is_standing", "Verdict.says",
}  # fmt: skip
"""Fields of records and JSON outputs; renaming them takes a reader for the old form."""
MAX_LITERARY_LOCALS = 60


def name_words(name: str) -> set[str]:
    plain = name.lower()
    for term in FIELD_TERMS:
        plain = plain.replace(term, "")
    return (
        set(re.findall(r"[a-z]+", plain))
        if "_" in name or name.islower()
        else {word.lower() for word in re.findall(r"[A-Z]?[a-z]+", name)}
    )


def bound_names(body: list[ast.stmt], scope: str = "") -> Iterator[str]:
    """Names of functions, classes, fields and constants, with their class."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield scope + node.name
        if isinstance(node, ast.ClassDef):
            yield from bound_names(node.body, f"{node.name}.")
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        yield from (scope + target.id for target in targets if isinstance(target, ast.Name))


def test_public_names_are_words_of_the_field() -> None:
    """No reader has to translate a name."""
    names = [(name(path), bound) for path in SHIPPED for bound in bound_names(parse(path).body)]
    literary = [
        (path, bound)
        for path, bound in names
        if not bound.rpartition(".")[2].startswith("_")
        and bound not in PERSISTED_NAMES
        and name_words(bound.rpartition(".")[2]) & LITERARY_WORDS
    ]

    assert len(names) > 3000
    assert literary == []


def test_modules_are_words_of_the_field() -> None:
    """No module is named literarily, or like a module of the standard library; commands are named by the user."""
    commands = ROOT / "orchestrator" / "cli" / "commands"
    modules = [path for path in SHIPPED if path.stem not in {"__init__", "__main__"}]

    assert [name(path) for path in modules if set(path.stem.split("_")) & LITERARY_WORDS] == []
    assert [
        name(path) for path in modules if path.stem in sys.stdlib_module_names and not path.is_relative_to(commands)
    ] == []


def test_literary_locals_only_become_fewer() -> None:
    """The number only ever goes down."""
    locals_ = [
        node.id if isinstance(node, ast.Name) else node.arg
        for path in SHIPPED
        for node in walk(path)
        if (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)) or isinstance(node, ast.arg)
    ]

    assert len([local for local in locals_ if name_words(local) & LITERARY_WORDS]) <= MAX_LITERARY_LOCALS


LITERARY_PHRASES = re.compile(
    r"(?<![Tt]here )\b(?:is|are) no (?!longer\b|more\b)[a-z]"
    r"|(?<!there )\bis none\b|\bnobody can\b|\bfor want of\b|\bwants a\b|\b[Ss]ays too\b"
    r"|\bhas to (?:be|have|say)\b|\bgoes back\b|\bof its own\b|\bpromises no\b|\bfor lack of\b|\banswers of AWS\b"
    r"|\bre-creat|\b[Ee]xits as |[a-df-z]\((?:s|es)\)|\b(?:takes|gets|keeps|creates) no (?!place)|\bOnly reads\b"
)


def test_sentences_are_phrased_as_manuals_phrase_them() -> None:
    """`x is not a service`, where a novel has `x is no service`."""
    texts = list(list_strings())

    assert len(texts) > 4000
    assert [text for text in texts if LITERARY_PHRASES.search(text.text)] == []


JOINED_WORDS = re.compile(r'(?<!\\)[a-z,;:.`)}]"\n\s*f?"[a-z`(]')


def test_no_two_words_run_together_where_a_sentence_is_wrapped() -> None:
    """Two literals in a row are one: without a space at the seam, a user reads `theorchestrator`."""
    seams = sum(len(re.findall(r'"\n\s*f?"', path.read_text())) for path in SHIPPED)

    assert seams > 300
    assert [(name(path), match[0]) for path in SHIPPED for match in JOINED_WORDS.finditer(path.read_text())] == []


COUNTED_NOUNS = re.compile(
    r" (?:more )?(?:seconds|minutes|hours|days|tables|rows|files|changes|resources|releases|objects|commits|problems"
    r"|versions|components|entries|photos|products|environments|times|attempts|requests|copies)\b"
)
EXACT_LIMITS = re.compile(r"(?:\bof|\ball|\bthe|\bthan|\bleast|\bmost|exceeds|last) $")


def test_every_count_agrees_with_its_noun() -> None:
    """`1 tables` is what an f-string of a count and a plural prints: `format_count` knows both forms."""
    shipped = [path for path in SHIPPED if "emulator" not in path.parts]
    converted = sum(path.read_text().count("format_count(") for path in shipped)

    assert converted > 60
    assert [place for path in shipped for place in _plural_pieces(path)] == []


def _plural_pieces(path: Path) -> Iterator[str]:
    """Yield where a value that is no constant stands before a plural noun."""
    for node in walk(path):
        if not isinstance(node, ast.JoinedStr):
            continue
        pieces = ["", *(item.value if isinstance(item, ast.Constant) else item for item in node.values), ""]
        for before, value, after in zip(pieces, pieces[1:], pieces[2:], strict=False):
            if (
                not isinstance(value, ast.FormattedValue)
                or not isinstance(after, str)
                or not COUNTED_NOUNS.match(after)
            ):
                continue
            is_count = not value.format_spec and not re.search(r"[A-Z]{3}|\.join\(", ast.unparse(value.value))
            if is_count and not EXACT_LIMITS.search(str(before)):
                yield f"{name(path)}:{node.lineno}: {ast.unparse(node)}"


def test_every_command_is_a_module() -> None:
    """A command's file is found by its name, and no other module stands beside it."""
    folder = ROOT / "orchestrator" / "cli" / "commands"

    assert {path.stem for path in folder.glob("[a-z]*.py")} | {"github"} == set(COMMANDS)
    assert {path.stem for path in (folder / "github").glob("[a-z]*.py")} == set(GITHUB_COMMANDS)


def test_the_layers_in_the_documentation_are_those_of_the_contracts() -> None:
    """`python -m tests.layer_table` writes them."""
    page = layer_table.PAGE.read_text()

    assert layer_table.insert_table(page) == page


def test_every_module_says_what_it_is() -> None:
    """A module opens with a sentence."""
    documents = {path: ast.get_docstring(parse(path)) for path in SHIPPED}

    assert [name(path) for path, text in documents.items() if not text] == []


def test_no_sentence_sends_a_reader_to_a_command_that_there_is_not() -> None:
    """In backticks, in the code, the schemas and the documents: a hint is as good as its command."""
    texts = [*SHIPPED, *(ROOT / "schemas").glob("*.json"), *(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]
    named = {verb for path in texts for verb in COMMAND.findall(path.read_text())}

    assert named - set(COMMANDS) == set()


def test_no_hint_names_a_package_that_is_somebody_elses() -> None:
    """`orchestrator` on the package index is not this project; a hint that installs it hands over the machine."""
    install = re.compile(r"(pip|pipx|uv|uvx)[^`\n]{0,20} ['\"]?orchestrator\b")
    texts = [*SHIPPED, *(ROOT / "docs").rglob("*.md"), ROOT / "README.md", *(ROOT / ".github").rglob("*.yml")]

    assert lines_matching(install, texts) == []


def test_nothing_of_ours_is_patched() -> None:
    """Edges are injected: a fake is handed over, never slipped in."""
    others = [path for path in TESTS if path != Path(__file__)]

    assert lines_matching(PATCHING, [*SHIPPED, *others]) == []


def test_there_are_lock_files() -> None:
    """What a user's runner needs, what the demo needs, and what the tests need."""
    assert {"core.lock", "demo.lock", "dev.lock"} <= {path.name for path in LOCKS}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
class TestLock:
    def test_every_package_is_pinned_with_a_hash(self, lock: Path) -> None:
        """pip accepts exactly the files that were there when the lock was made."""
        entries = lock.read_text().replace("\\\n", " ").splitlines()
        entry = re.compile(r"[a-z0-9-]+==\S+( ; [^#]+?)?(\s+--hash=sha256:[0-9a-f]{64})+\s*")

        assert [line for line in entries if not entry.fullmatch(line)] == []

    def test_no_address_is_written_down(self, lock: Path) -> None:
        """Where packages come from is the machine's business: names, versions and hashes only."""
        address = re.compile(r"://|--(extra-)?index|--find-links|--trusted-host|file:|@ |#|\.(org|com|net|io)\b")

        assert lines_matching(address, [lock]) == []

    def test_it_agrees_with_the_widest(self, lock: Path) -> None:
        """The tests run on the versions that users get."""
        pins = re.compile(r"^\S+==\S+", re.MULTILINE)
        tested = [ROOT / "requirements" / name for name in ("dev.lock", "weights.lock")]
        if lock.name == "mutants.lock":  # beside the tests' packages, and of these the same versions
            names = {pin.partition("==")[0] for each in tested for pin in pins.findall(each.read_text())}
            found = [pin for pin in pins.findall(lock.read_text()) if pin.partition("==")[0] in names]
            assert len(found) > 50
        elif lock.name == "bench.lock":  # programs that are measured; no test runs them
            found = []
        else:
            found = pins.findall(lock.read_text())
        widest = {pin for each in tested for pin in pins.findall(each.read_text())}

        assert set(found) <= widest


def test_the_changelog_has_a_place_for_the_next_change() -> None:
    """Keep a Changelog: what is not released yet comes first, and a release is listed when the version says so."""
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert headings[0] == "Unreleased"
    assert headings[1:2] in ([], [orchestrator.__version__])


def test_the_command_starts_light() -> None:
    """`orchestrator --version` pays for nothing that it does not use."""
    probe = f"import sys, orchestrator.cli.main; print(*sorted({HEAVY!r} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=False)

    assert (run.returncode, run.stdout.strip(), run.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("reason", "ci", "outcome"),
    [
        ("Skipped: needs node", True, "failed"),
        ("Skipped: needs node", False, "skipped"),
        ("Skipped: only on macOS", True, "skipped"),
    ],
)
def test_ci_skips_nothing_for_a_missing_tool(reason: str, ci: bool, outcome: str) -> None:
    """A skip that begins with "needs" is a failure under CI, and only there."""
    report = pytest.TestReport("id", ("tests/x.py", 1, "x"), {}, "skipped", ("tests/x.py", 2, reason), "setup")
    conftest.refuse_missing_tool(report, ci=ci)

    assert report.outcome == outcome


def test_the_machines_own_aws_is_out_of_reach() -> None:
    """No profile, key, region or role of the machine's is seen by a test."""
    assert {key: value for key, value in os.environ.items() if key.startswith("AWS_")} == conftest.AWAY


def test_the_gate_is_the_same_everywhere() -> None:
    """CI runs the README's test command; the hooks hold the parts of `make check`, the fast tests before a push."""
    recipe = re.search(r"^check: (.+?) ##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe is not None
    hooks = re.findall(r"entry: make (\w+)", (ROOT / ".pre-commit-config.yaml").read_text())

    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1].split()[-1] == "test"
    assert [*recipe.group(1).split()[:-1], "fast"] == hooks


def test_a_group_of_tests_stays_with_one_worker(request: pytest.FixtureRequest) -> None:
    """The scheduler knows a group by the end of a test's id; without it, what is dear is made by every worker."""
    grouped = request.node.nodeid.endswith("@house")

    assert grouped == ("PYTEST_XDIST_WORKER" in os.environ)


SHARED_NAMES = {
    "__main__": "run a package",
    "alarms": "of a component kind",
    "checks": "of a component kind",
    "api_shape": "of a resource type",
    "approval": "of a plan",
    "configuration": "of an emulated service",
    "entities": "of an emulated service",
    "environments": "of the state service",
    "errors": "AwsError",
    "logs": "AWS's service, and ours",
    "main": "the start of a program",
    "migration": "the component part and its resource",
    "network": "of machines, of layers",
    "pagination": "of listings",
    "registry": "of models",
    "routing": "of requests",
    "runs": "of the state service",
    "s3": "AWS's service",
    "service": "an emulated service",
    "settings": "of a run, of the service",
}
"""Names of several modules, with the one meaning they have in all of them; commands share theirs with what they run."""


def test_no_two_modules_have_one_name_and_other_meanings() -> None:
    """Who has found one by its name has found the right one; the list only becomes shorter."""
    stems = [path.stem for path in SHIPPED if path.stem != "__init__"]
    shared = {stem for stem in stems if stems.count(stem) > 1}

    assert shared - set(SHARED_NAMES) - set(COMMANDS) == set()
