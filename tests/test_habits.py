"""Habits of tests that cannot fail, looked for in the tests' own syntax trees.

Each rule is one habit that once let a fault through; what a rule finds and may stay is listed with its reason.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.xdist_group("habits")  # one worker parses all files once
FOLDER = Path(__file__).parent
ASSERTING = frozenset({"raises", "fail", "warns", "check_returncode", "raise_for_status"})
"""Names of calls that fail a test by themselves, beside the fixtures whose ``check`` does."""


class Examined(NamedTuple):
    """A test function, or a part of one."""

    where: str
    node: ast.FunctionDef
    module: ast.Module


@cache
def parse_modules() -> tuple[tuple[str, ast.Module], ...]:
    return tuple(
        (str(path.relative_to(FOLDER)), ast.parse(path.read_text(encoding="utf-8")))
        for path in sorted(FOLDER.rglob("*.py"))
    )


@cache
def list_tests() -> tuple[Examined, ...]:
    return tuple(
        Examined(f"{name}::{node.name}", node, module)
        for name, module in parse_modules()
        for node in walk(module)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test")
    )


@cache
def walk(node: ast.AST) -> tuple[ast.AST, ...]:
    """All nodes below a node; each rule asks for those of every test."""
    return tuple(ast.walk(node))


@cache
def called_names(node: ast.AST) -> frozenset[str]:
    calls = [item.func for item in walk(node) if isinstance(item, ast.Call)]
    names = {function.id for function in calls if isinstance(function, ast.Name)}
    return frozenset(names | {function.attr for function in calls if isinstance(function, ast.Attribute)})


@cache
def asserting_names() -> frozenset[str]:
    """The names of the functions of the tests that assert something, by themselves or by what they call."""
    functions = {
        node.name: node for _, module in parse_modules() for node in walk(module) if isinstance(node, ast.FunctionDef)
    }
    names = {name for name, node in functions.items() if any(isinstance(item, ast.Assert) for item in walk(node))}
    names |= ASSERTING
    while True:
        more = {name for name, node in functions.items() if names & called_names(node)}
        if more <= names:
            return frozenset(names)
        names |= more


def asserts_nothing(test: Examined) -> Iterator[str]:
    """A test without an assertion says only that nothing is raised."""
    has_assert = any(isinstance(item, ast.Assert) for item in walk(test.node))
    if not has_assert and not called_names(test.node) & (asserting_names() | {"check"}):
        yield test.where


def depths(body: list[ast.stmt], depth: tuple[ast.stmt, ...] = ()) -> Iterator[tuple[ast.stmt, ...]]:
    """The statements around each assertion that decide whether it is reached."""
    for statement in body:
        match statement:
            case ast.Assert():
                yield depth
            case ast.For() | ast.While() | ast.If():
                yield from depths(statement.body, (*depth, statement))
                if isinstance(statement, ast.If) and statement.orelse:
                    yield from depths(statement.orelse, (*depth, statement))
            case ast.With() | ast.Try():
                is_failing = isinstance(statement, ast.With) and called_names(statement) & ASSERTING
                if is_failing:
                    yield depth
                yield from depths(statement.body, depth)
            case ast.Expr() if called_names(statement) & asserting_names():
                yield depth


def is_never_empty(iterable: ast.expr, module: ast.Module) -> bool:  # noqa: PLR0911 - a table
    """Whether a loop over this is seen to run: a literal, a range of a number, or a literal of the module."""
    match iterable:
        case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
            return bool(items)
        case ast.Dict(keys=keys):
            return bool(keys)
        case ast.Constant(value=str(text)):
            return bool(text)
        case ast.Name(id=name):
            return any(
                is_never_empty(node.value, module)
                for node in walk(module)
                if isinstance(node, ast.Assign | ast.AnnAssign)
                and node.value is not None
                and name in {item.id for item in walk(node) if isinstance(item, ast.Name)}
                and not isinstance(node.value, ast.Name)
            )
        case ast.Call(func=ast.Name(id="range" | "enumerate" | "zip" | "sorted" | "reversed"), args=args):
            return all(isinstance(arg, ast.Constant) or is_never_empty(arg, module) for arg in args)
        case ast.Call(func=ast.Attribute(value=value, attr="items" | "values" | "keys" | "split")):
            return is_never_empty(value, module)
        case ast.BoolOp(op=ast.Or()):
            return any(is_never_empty(value, module) for value in iterable.values)
        case ast.IfExp(body=body, orelse=orelse):
            return is_never_empty(body, module) and is_never_empty(orelse, module)
    return False


def asserts_only_in_loops(test: Examined) -> Iterator[str]:
    """A loop over nothing asserts nothing; one assertion outside, or a count, says that it ran."""
    around = list(depths(test.node.body))
    loops = [[item for item in depth if isinstance(item, ast.For | ast.While)] for depth in around]
    if around and all(loops) and not any(all(runs(item, test.module) for item in depth) for depth in loops):
        yield test.where


def runs(loop: ast.stmt, module: ast.Module) -> bool:
    return (isinstance(loop, ast.For) and is_never_empty(loop.iter, module)) or (
        isinstance(loop, ast.While) and isinstance(loop.test, ast.Constant)
    )


def asserts_only_under_conditions(test: Examined) -> Iterator[str]:
    """An ``if`` without an assertion in its ``else`` lets a test pass that should have asserted."""
    around = list(depths(test.node.body))
    if around and all(any(is_one_sided(item) for item in depth) for depth in around):
        yield test.where


def is_one_sided(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and not (any(depths(statement.body)) and any(depths(statement.orelse)))


def asserts_an_alternative(test: Examined) -> Iterator[str]:
    """``A or B`` passes when B follows from something else: say which of the two is expected, and when."""
    for item in walk(test.node):
        if isinstance(item, ast.Assert) and isinstance(item.test, ast.BoolOp) and isinstance(item.test.op, ast.Or):
            yield test.where


def asserts_what_is_always_so(test: Examined) -> Iterator[str]:
    """Something compared with itself, a tuple, a constant, a generator: true whatever the product does."""
    for item in walk(test.node):
        if isinstance(item, ast.Assert):
            match item.test:
                case ast.Compare(left=left, ops=[ast.Eq() | ast.Is() | ast.LtE() | ast.GtE()], comparators=[right]):
                    is_same = ast.dump(left) == ast.dump(right)
                    is_repeated = any(isinstance(part, ast.Call) for part in walk(left))  # twice the same is asked
                    if is_same and not is_repeated:
                        yield f"{test.where}: {ast.unparse(item.test)}"
                case ast.Tuple() | ast.Constant() | ast.GeneratorExp() | ast.Lambda() | ast.JoinedStr():
                    yield f"{test.where}: {ast.unparse(item.test)}"


def skips_for_another_reason(test: Examined) -> Iterator[str]:
    """Under CI only skips that begin with "needs " fail (tests/conftest.py); others vanish."""
    for item in [test.node, *test.node.decorator_list]:
        yield from (f"{test.where}: {reason}" for reason in skip_reasons(item))


def skip_reasons(node: ast.AST) -> Iterator[str]:
    for item in walk(node):
        if isinstance(item, ast.Call) and isinstance(item.func, ast.Attribute):
            reasons: list[ast.expr] = []
            if item.func.attr == "skip":
                reasons = [*item.args[:1], *(keyword.value for keyword in item.keywords if keyword.arg == "reason")]
            elif item.func.attr in {"skipif", "xfail"}:
                reasons = [keyword.value for keyword in item.keywords if keyword.arg == "reason"]
            for reason in reasons:
                text = ast.unparse(reason).strip("f'\"")
                if not text.startswith("needs "):
                    yield text


@cache
def imported_names(module: ast.Module) -> frozenset[str]:
    """The names that a module of the tests imports from the product."""
    imports = [node for node in walk(module) if isinstance(node, ast.ImportFrom)]
    of_product = [node for node in imports if (node.module or "").startswith(("orchestrator", "ml"))]
    return frozenset(alias.asname or alias.name for node in of_product for alias in node.names)


def has_no_cases(test: Examined) -> Iterator[str]:
    """Parametrized over nothing written in a test: a list that the product exports may become shorter unnoticed."""
    imported = imported_names(test.module)
    for item in test.node.decorator_list:
        if isinstance(item, ast.Call) and isinstance(item.func, ast.Attribute) and item.func.attr == "parametrize":
            values = item.args[1] if len(item.args) > 1 else None
            names = {part.id for part in walk(values) if isinstance(part, ast.Name)} if values is not None else set()
            is_empty = isinstance(values, ast.List | ast.Tuple) and not values.elts
            if is_empty or (isinstance(values, ast.Name | ast.Attribute) and names <= imported):
                yield f"{test.where}: {ast.unparse(item.args[1])}"


def applies_past_the_check(test: Examined) -> Iterator[str]:
    """``performed_calls.apply`` compares what is performed with the plan; ``pipeline.apply`` does not."""
    if is_applying(test.module):
        yield test.where.partition("::")[0]


@cache
def is_applying(module: ast.Module) -> bool:
    return any(isinstance(node, ast.Call) and ast.unparse(node.func) == "pipeline.apply" for node in walk(module))


RULES: tuple[Callable[[Examined], Iterator[str]], ...] = (
    asserts_nothing,
    asserts_only_in_loops,
    asserts_only_under_conditions,
    asserts_an_alternative,
    asserts_what_is_always_so,
    skips_for_another_reason,
    has_no_cases,
    applies_past_the_check,
)
IMPLICATION = "an implication, over cases of which some have the left side and some have not"
ALLOWED: Mapping[str, Mapping[str, str]] = {
    "applies_past_the_check": {"proofs/test_guards.py": "where it is refused, and performs nothing"},
    "asserts_nothing": {
        "release/test_deploy.py::test_a_dead_runs_lease_ends_by_itself": "a lock that is held raises",
        "runs/test_approval.py::test_yes_is_a_yes": "anything else raises, in the test before it",
        "state/test_openapi.py::test_what_it_says_is_so": "schemathesis validates",
    },
    "asserts_only_in_loops": {
        "ml/test_train_model.py::test_numbers_that_are_none_are_refused": "over a list in its parameters",
        "resources/test_call_outcomes.py::test_a_call_is_retried_for_the_time_written_down": (
            "test_every_error_has_the_outcome_written_down fails if a file names no errors"
        ),
        "scaffold/test_project.py::test_editors_check_each_file_by_its_schema": "over the files of one template",
        "state/test_slow_clients.py::test_unfinished_headers_are_given_up": "over the sockets that it opened",
        "state/test_writers.py::test_a_limit_is_of_a_project_and_an_environment": "over a literal in a literal",
        "test_readme.py::test_every_command_line_can_be_typed": "pages without commands are among them",
    },
    "asserts_only_under_conditions": {
        "resources/test_call_outcomes.py::test_a_call_is_retried_for_the_time_written_down": (
            "of several variants of a call the one that retries"
        ),
    },
    "asserts_an_alternative": {
        "artefacts/test_build_process.py::test_the_first_error_is_found_however_far_above_the_end": IMPLICATION,
        "artefacts/test_node_packages.py::test_a_fresh_checkout_is_built": IMPLICATION,
        "artefacts/test_node_packages.py::test_the_lock_file_is_obeyed": IMPLICATION,
        "aws/test_error_catalogue.py::test_it_matches_in_any_case_and_nothing_near": IMPLICATION,
        "emulator/test_data_plane.py::test_a_path_is_what_it_says": IMPLICATION,
        "manifest/test_text.py::test_surprises_are_named": IMPLICATION,
        "release/test_always_back.py::test_the_list_and_the_command_agree": IMPLICATION,
        "resources/test_existing.py::test_what_somebody_else_created_is_left_alone": IMPLICATION,
        "resources/test_rds_instance.py::test_a_status_is_well_under_way_or_failed": IMPLICATION,
        "state/test_integrity.py::test_an_environment_is_what_was_applied": IMPLICATION,
        "state/test_middleware.py::test_every_page_forbids_scripts_that_are_not_files_of_ours": IMPLICATION,
        "aws/test_error_catalogue.py::test_its_texts_are_comparable_and_its_source_is_named": "one of two is needed",
        "cli/test_secret.py::test_a_wrong_value_changes_nothing": IMPLICATION,
        "doctor/test_doctor.py::test_everything_at_once": "the wording of the system's resolver or of httpx",
    },
    "skips_for_another_reason": {
        "manifest/test_text.py::test_an_unreadable_file_is_named: root may read everything": "CI may run as root",
        "state/test_store.py::test_a_database_that_has_hung_up_is_called_again: a file does not hang up": (
            "one of two databases; the other runs"
        ),
    },
    "has_no_cases": {
        "cli/test_main.py::test_every_verb_has_help_with_examples: COMMANDS": "test_readme compares them with the docs",
        "doctor/test_doctor.py::test_what_the_real_workflows_need: workflow_checks.REQUIRED_PERMISSIONS": (
            "test_house compares the commands of workflows"
        ),
        "scaffold/test_project.py::test_a_workflow_gives_what_the_called_one_takes: REQUIRED_PERMISSIONS": (
            "compared with the workflow files"
        ),
        "scaffold/test_project.py::test_every_environment_is_valid_beside_the_others: questions.LANGUAGES": (
            "golden files hold one of each"
        ),
    },
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_no_test_has_the_habit(rule: Callable[[Examined], Iterator[str]]) -> None:
    """What is found and listed has a reason; what is listed and not found any more is taken off the list."""
    tests = list_tests()
    found = {finding for test in tests for finding in rule(test)}

    assert len(tests) > 1500
    assert sorted(found) == sorted(ALLOWED.get(rule.__name__, {}))
