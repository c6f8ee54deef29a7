"""Define the questions about a new project, and collect and validate the answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from orchestrator.problems import Problem, Problems

LANGUAGES: Final = ("dotnet", "python", "node")
RUNTIMES: Final = ("ecs-express", "app-runner")
"""The first one works in every account."""
NONE: Final = "none"


class Answers(Struct, frozen=True):
    """Valid answers; ``api`` and ``site`` are empty if there is none, ``tool`` is the commit with the workflows."""

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
    """One question: the ``option`` that answers it, the ``pattern`` of a valid answer and the ``reason`` for others.

    ``only_if`` names an earlier question; this one is asked only if that answer is not "none".
    """

    option: str
    text: str
    pattern: str
    reason: str
    only_if: str = ""
    default: str = ""


_FOLDER_PATTERN: Final = r"[\w.-]+(/[\w.-]+)*"
_REGION_PATTERN: Final = r"[a-z]{2}(-[a-z]+)+-[0-9]"
_EMAIL_PATTERN: Final = r"[^@\s]+@[^@\s]+\.[^@\s]+|none"
QUESTIONS: Final = (
    Question(
        "name",
        "Project name",
        r"[a-z][a-z0-9-]{0,30}",
        "use up to 31 lower-case letters, digits and hyphens, starting with a letter",
    ),
    Question("repository", "GitHub repository", r"[\w.-]+/[\w.-]+", "write it as OWNER/NAME"),
    Question("account", "AWS account id", r"[0-9]{12}", "use the 12 digits of the account id"),
    Question("region", "AWS region", _REGION_PATTERN, "use a region code, e.g. eu-west-1", default="eu-west-1"),
    Question(
        "api",
        "Language of the API",
        "|".join((*LANGUAGES, NONE)),
        f"use one of {', '.join((*LANGUAGES, NONE))}",
        default=NONE,
    ),
    Question("api-folder", "Folder of the API", _FOLDER_PATTERN, "use a folder of the repository", "api", "api"),
    Question("runtime", "Runtime of the API", "|".join(RUNTIMES), f"use {' or '.join(RUNTIMES)}", "api", RUNTIMES[0]),
    Question("database", "PostgreSQL database for the API", "yes|no", "use yes or no", "api", "no"),
    Question(
        "site", "Folder of the built site", _FOLDER_PATTERN, "use a folder of the repository, or none", default=NONE
    ),
    Question(
        "site-build",
        "Command that builds the site",
        r"[\w./ :@=-]+",
        "use a program and its arguments, or none",
        "site",
        NONE,
    ),
    Question("email", "E-mail address for alarms", _EMAIL_PATTERN, "use an e-mail address, or none", default=NONE),
    Question(
        "tool",
        "Source of the orchestrator's workflows",
        r"[\w.-]+/[\w.-]+@[0-9a-f]{40}",
        "write it as OWNER/NAME@COMMIT, with all 40 digits of the commit",
    ),
)


def collect_answers(
    options: Mapping[str, str | None],
    defaults: Mapping[str, str],
    ask: Callable[[str], str] | None,
    on_invalid_answer: Callable[[str], None],
) -> Answers:
    """Collect an answer for every question: from ``options``, else by asking, else from ``defaults``.

    ``ask`` None means that nobody can be asked.  Raises Problems with all answers that are missing or invalid.
    """
    answers: dict[str, str] = {}
    problems: list[Problem] = []
    for question in QUESTIONS:
        if question.only_if and answers.get(question.only_if, NONE) == NONE:
            continue
        answer = options.get(question.option)
        default = defaults.get(question.option) or question.default
        if answer is None and ask is not None:
            answer = _ask_question(question, default, ask, on_invalid_answer)
        answer = default if answer is None else answer
        if _is_valid(question, answer):
            answers[question.option] = answer
        else:
            problems.append(_invalid_answer_problem(question, answer))
    if problems:
        raise Problems(problems)
    return _build_answers(answers)


def _ask_question(
    question: Question, default: str, ask: Callable[[str], str], on_invalid_answer: Callable[[str], None]
) -> str:
    """Return the answer to one question; repeat it until the answer is valid, at most 5 times, or the input ends."""
    default_hint = f" [{default}]" if default else ""
    for _ in range(5):
        answer = ask(f"{question.text}{default_hint}:") or default
        if not answer or _is_valid(question, answer):
            return answer
        on_invalid_answer(f"  {answer}: {question.reason}")
    return answer


def _is_valid(question: Question, answer: str) -> bool:
    return re.fullmatch(question.pattern, answer) is not None and ".." not in answer.split("/")


def _invalid_answer_problem(question: Question, answer: str) -> Problem:
    message = f"invalid --{question.option} {answer}" if answer else f"--{question.option} is missing: {question.text}"
    return Problem(message, hint=f"{question.reason}; nothing was written" if answer else question.reason)


def _build_answers(answers: Mapping[str, str]) -> Answers:
    def answer_for(option: str) -> str:
        answer = answers.get(option, NONE)
        return "" if answer == NONE else answer

    fields = {name.replace("-", "_"): answer_for(name) for name in (question.option for question in QUESTIONS)}
    return Answers(**{**fields, "database": answers.get("database") == "yes"})  # type: ignore[arg-type]


def validate_answer(option: str, answer: str) -> str:
    """Return ``answer`` if it is valid for ``option``.

    Raises Problems if it is not.
    """
    question = next(candidate for candidate in QUESTIONS if candidate.option == option)
    if not _is_valid(question, answer):
        raise Problems([_invalid_answer_problem(question, answer)])
    return answer
