"""Who may say yes, and to what; and what a terminal is."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from msgspec.structs import replace

from orchestrator.problems import Problems
from orchestrator.runs.approval import Approval
from orchestrator.runs.settings import Settings
from orchestrator.runs.terminal import Terminal
from tests.render.sample_plans import DIGEST, FULL_PLAN


def terminal(typed: str = "", *, interactive: bool = True) -> Terminal:
    return Terminal(io.StringIO(typed), io.StringIO(), io.StringIO(), is_interactive=interactive)


def test_without_a_terminal_nobody_is_asked() -> None:
    """A run in CI that nobody approved is refused, with the three ways to approve it."""
    with pytest.raises(Problems, match="there is no terminal to confirm it") as found:
        Approval().confirm(terminal("yes\n", interactive=False), "Apply?", "yes")

    hint = found.value.problems[0].hint or ""
    assert all(way in hint for way in ("plan.json", "--expect", "--auto-approve"))


@pytest.mark.parametrize(
    "approval", [Approval(FULL_PLAN), Approval(expected_digest=DIGEST), Approval(is_automatic=True)]
)
def test_an_approval_beforehand_asks_nobody(approval: Approval) -> None:
    """A reviewed plan, its digest or --auto-approve are enough."""
    silent = terminal(interactive=False)
    approval.refuse_stale(FULL_PLAN)
    approval.confirm(silent, "Really?", "yes")

    assert silent.err.getvalue() == ""  # type: ignore[attr-defined]


@pytest.mark.parametrize("typed", ["", "y\n", "YES\n", "yes please\n", "no\n"])
def test_only_the_word_itself_is_a_yes(typed: str) -> None:
    """Anything but `yes` is a no, and nothing is done."""
    with pytest.raises(Problems, match="nothing was changed"):
        Approval().confirm(terminal(typed), "Apply?", "yes")


def test_yes_is_a_yes() -> None:
    """Spaces around it do not matter."""
    Approval().confirm(terminal(" yes \n"), "Apply?", "yes")


@pytest.mark.parametrize(
    "approval", [Approval(FULL_PLAN), Approval(expected_digest=DIGEST), Approval(FULL_PLAN, DIGEST, is_automatic=True)]
)
def test_a_stale_plan_is_refused(approval: Approval) -> None:
    """Another digest than the reviewed one stops the run, even with --auto-approve."""
    with pytest.raises(Problems, match="the plan is stale"):
        approval.refuse_stale(replace(FULL_PLAN, digest="0" * 64))


def test_both_the_file_and_the_digest_must_fit() -> None:
    """A plan file with another digest than --expect says is refused."""
    with pytest.raises(Problems, match="the plan is stale"):
        Approval(FULL_PLAN, "0" * 64).refuse_stale(FULL_PLAN)


def test_commands_can_be_typed_again() -> None:
    """What is printed to go on names the same manifests and environment, quoted for the shell."""
    settings = Settings(Path("my manifests"), "prod")

    assert settings.command_line("apply", "plan.json") == "orchestrator apply plan.json -f 'my manifests' -e prod"
    assert Settings().command_line("plan") == "orchestrator plan"


@pytest.mark.parametrize(
    ("environ", "colour"),
    [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)],
)
def test_colour_is_asked_for(environ: dict[str, str], colour: bool) -> None:
    """A pipe gets colours only when they are forced, and never against NO_COLOR."""
    assert Terminal.from_environment(environ).has_colour is colour


def test_no_color_option_wins() -> None:
    """`--no-color` is NO_COLOR for one command."""
    assert Terminal.from_environment({"FORCE_COLOR": "1"}, no_colour=True).has_colour is False


def test_a_terminal_that_has_hung_up_agrees_to_nothing() -> None:
    """Reading from it is an error of input and output, not the end of a file."""

    class Gone(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, _: object) -> int:
            raise OSError(5, "Input/output error")

    gone = io.TextIOWrapper(io.BufferedReader(Gone()))

    assert Terminal(gone, io.StringIO(), io.StringIO(), is_interactive=True).prompt("Apply?") == ""
