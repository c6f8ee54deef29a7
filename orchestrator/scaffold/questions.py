"""What has to be known of a project to write its first files, and how it is asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from orchestrator.problems import Problem, Problems

KINDS: Final = ("dotnet", "python", "node")
RUNTIMES: Final = ("ecs-express", "app-runner")
"""What works in every account comes first."""
NONE: Final = "none"


class Answers(Struct, frozen=True):
    """``api`` and ``site`` are empty where there is none; ``tool`` is where the workflows are, pinned."""

    name: str
    repository: str
    account: str
    region: str
    api: str
    api_folder: str
    runtime: str
    site: str
    site_build: str
    database: bool
    email: str
    tool: str


class Question(Struct, frozen=True):
    """One question: the ``option`` that answers it, what an answer looks like, and what is wrong with any other.

    ``only_if``: an earlier question whose answer has to be something for this one to be asked.
    """

    option: str
    text: str
    pattern: str
    reason: str
    only_if: str = ""
    default: str = ""


_FOLDER: Final = r"[\w.-]+(/[\w.-]+)*"
_REGION: Final = r"[a-z]{2}(-[a-z]+)+-[0-9]"
_MAIL: Final = r"[^@\s]+@[^@\s]+\.[^@\s]+|none"
QUESTIONS: Final = (
    Question("name", "Name of the project", r"[a-z][a-z0-9-]{0,30}", "up to 31 of a-z, 0-9 and -, a letter first"),
    Question("repository", "Its repository on GitHub", r"[\w.-]+/[\w.-]+", "write it as OWNER/NAME"),
    Question("account", "Id of the AWS account", r"[0-9]{12}", "an account id has 12 digits"),
    Question("region", "AWS region", _REGION, "write its code, e.g. eu-west-1", default="eu-west-1"),
    Question("api", "What the API is written in", "|".join((*KINDS, NONE)), ", ".join((*KINDS, NONE)), default=NONE),
    Question("api-folder", "Folder of the API", _FOLDER, "a folder of the repository", "api", "api"),
    Question("runtime", "What it runs on", "|".join(RUNTIMES), " or ".join(RUNTIMES), "api", RUNTIMES[0]),
    Question("database", "A PostgreSQL database for it", "yes|no", "yes or no", "api", "no"),
    Question("site", "Folder of the built site", _FOLDER, "a folder of the repository, or none", default=NONE),
    Question("site-build", "Command that builds it", r"[\w./ :@=-]+", "a program and its words, or none", "site", NONE),
    Question("email", "Who is mailed when an alarm goes off", _MAIL, "an address, or none", default=NONE),
    Question(
        "tool",
        "Where the orchestrator's workflows are",
        r"[\w.-]+/[\w.-]+@[0-9a-f]{40}",
        "write OWNER/NAME@COMMIT, with all 40 digits of the commit",
    ),
)  # fmt: skip


def gather(
    given: Mapping[str, str | None],
    guesses: Mapping[str, str],
    ask: Callable[[str], str] | None,
    tell: Callable[[str], None],
) -> Answers:
    """Options first; then a person, if there is one to ``ask``, with what was guessed as the proposal; else the guess.

    Raises Problems: every answer that is missing or is none.
    """
    found: dict[str, str] = {}
    problems: list[Problem] = []
    for question in QUESTIONS:
        if question.only_if and found.get(question.only_if, NONE) == NONE:
            continue
        said = given.get(question.option)
        proposal = guesses.get(question.option) or question.default
        if said is None and ask is not None:
            said = _asked(question, proposal, ask, tell)
        said = proposal if said is None else said
        if _fits(question, said):
            found[question.option] = said
        else:
            problems.append(_problem(question, said))
    if problems:
        raise Problems(problems)
    return _answers(found)


def _asked(question: Question, proposal: str, ask: Callable[[str], str], tell: Callable[[str], None]) -> str:
    """The answer to one question, asked again until it is one; the end of the input ends it."""
    brackets = f" [{proposal}]" if proposal else ""
    for _ in range(5):
        said = ask(f"{question.text}{brackets}:") or proposal
        if not said or _fits(question, said):
            return said
        tell(f"  {said}: {question.reason}")
    return said


def _fits(question: Question, said: str) -> bool:
    return re.fullmatch(question.pattern, said) is not None and ".." not in said.split("/")


def _problem(question: Question, said: str) -> Problem:
    what = (
        f"--{question.option} {said}: {question.reason}" if said else f"--{question.option} is missing: {question.text}"
    )
    return Problem(what, hint=question.reason if not said else "nothing was written")


def _answers(found: Mapping[str, str]) -> Answers:
    def of(option: str) -> str:
        said = found.get(option, NONE)
        return "" if said == NONE else said

    texts = {name.replace("-", "_"): of(name) for name in (question.option for question in QUESTIONS)}
    return Answers(**{**texts, "database": found.get("database") == "yes"})  # type: ignore[arg-type]


def one(option: str, said: str) -> str:
    """One answer by itself.  Raises Problems where it is none."""
    question = next(each for each in QUESTIONS if each.option == option)
    if not _fits(question, said):
        raise Problems([_problem(question, said)])
    return said
