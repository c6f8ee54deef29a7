"""What has to be known of a project to write its first files, and how it is asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from orchestrator.problems import Problem, Problems

LANGUAGES: Final = ("dotnet", "python", "node")
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


_FOLDER_PATTERN: Final = r"[\w.-]+(/[\w.-]+)*"
_REGION_PATTERN: Final = r"[a-z]{2}(-[a-z]+)+-[0-9]"
_EMAIL_PATTERN: Final = r"[^@\s]+@[^@\s]+\.[^@\s]+|none"
QUESTIONS: Final = (
    Question("name", "Name of the project", r"[a-z][a-z0-9-]{0,30}", "up to 31 of a-z, 0-9 and -, a letter first"),
    Question("repository", "Its repository on GitHub", r"[\w.-]+/[\w.-]+", "write it as OWNER/NAME"),
    Question("account", "Id of the AWS account", r"[0-9]{12}", "an account id has 12 digits"),
    Question("region", "AWS region", _REGION_PATTERN, "write its code, e.g. eu-west-1", default="eu-west-1"),
    Question(
        "api", "What the API is written in", "|".join((*LANGUAGES, NONE)), ", ".join((*LANGUAGES, NONE)), default=NONE
    ),
    Question("api-folder", "Folder of the API", _FOLDER_PATTERN, "a folder of the repository", "api", "api"),
    Question("runtime", "What it runs on", "|".join(RUNTIMES), " or ".join(RUNTIMES), "api", RUNTIMES[0]),
    Question("database", "A PostgreSQL database for it", "yes|no", "yes or no", "api", "no"),
    Question("site", "Folder of the built site", _FOLDER_PATTERN, "a folder of the repository, or none", default=NONE),
    Question("site-build", "Command that builds it", r"[\w./ :@=-]+", "a program and its words, or none", "site", NONE),
    Question("email", "Who is mailed when an alarm goes off", _EMAIL_PATTERN, "an address, or none", default=NONE),
    Question(
        "tool",
        "Where the orchestrator's workflows are",
        r"[\w.-]+/[\w.-]+@[0-9a-f]{40}",
        "write OWNER/NAME@COMMIT, with all 40 digits of the commit",
    ),
)


def collect_answers(
    options: Mapping[str, str | None],
    defaults: Mapping[str, str],
    ask: Callable[[str], str] | None,
    on_invalid_answer: Callable[[str], None],
) -> Answers:
    """Options first; then a person, if there is one to ``ask``, with what was guessed as the proposal; else the guess.

    Raises Problems: every answer that is missing or is none.
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
    """The answer to one question, asked again until it is one; the end of the input ends it."""
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
    message = (
        f"--{question.option} {answer}: {question.reason}"
        if answer
        else f"--{question.option} is missing: {question.text}"
    )
    return Problem(message, hint=question.reason if not answer else "nothing was written")


def _build_answers(answers: Mapping[str, str]) -> Answers:
    def answer_for(option: str) -> str:
        answer = answers.get(option, NONE)
        return "" if answer == NONE else answer

    fields = {name.replace("-", "_"): answer_for(name) for name in (question.option for question in QUESTIONS)}
    return Answers(**{**fields, "database": answers.get("database") == "yes"})  # type: ignore[arg-type]


def validate_answer(option: str, answer: str) -> str:
    """One answer by itself.  Raises Problems where it is none."""
    question = next(candidate for candidate in QUESTIONS if candidate.option == option)
    if not _is_valid(question, answer):
        raise Problems([_invalid_answer_problem(question, answer)])
    return answer
