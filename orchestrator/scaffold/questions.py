"""Define the questions about a new project, and collect and validate the answers."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from orchestrator.manifest.overlay import DEFAULT_NAME
from orchestrator.problems import Problem, Problems

LANGUAGES: Final = ("dotnet", "python", "node", "go", "docker")
RUNTIMES: Final = ("ecs-express", "app-runner")
"""The first one works in every account."""
NONE: Final = "none"
DOCKERFILE_ONLY: Final = "docker"
"""The language of an API that brings its own Dockerfile."""


class Answers(Struct, frozen=True):
    """Valid answers; what there is none of is empty.

    ``site`` is the folder of the built site, and ``site_build`` runs in ``site_folder``.  ``environments`` and
    ``secrets`` are names separated by commas, ``budget`` is in USD a month, ``tool`` the commit with the workflows.
    """

    name: str
    repository: str
    branch: str
    account: str
    region: str
    api: str
    api_folder: str
    runtime: str
    site: str
    site_build: str
    site_folder: str
    database: bool
    secrets: str
    environments: str
    promotion: bool
    email: str
    budget: str
    tool: str

    @property
    def environment_names(self) -> tuple[str, ...]:
        return tuple(self.environments.split(","))

    @property
    def promotion_pair(self) -> tuple[str, str] | None:
        """The environments that releases are promoted from and to, or None."""
        return find_promotion_pair(self.environment_names) if self.promotion else None

    @property
    def secret_names(self) -> tuple[str, ...]:
        return tuple(filter(None, self.secrets.split(",")))


class Question(Struct, frozen=True):
    """One question: the ``option`` that answers it, the ``pattern`` of a valid answer and the ``reason`` for others.

    ``only_if`` names an earlier question; this one is asked only if that answer is not "none".  ``choices`` are listed,
    and may be abbreviated as far as they stay different: `y` is `yes`.  ``needs_environments``: asked only if there are
    several environments.
    """

    option: str
    text: str
    pattern: str
    reason: str
    only_if: str = ""
    default: str = ""
    choices: tuple[str, ...] = ()
    needs_environments: bool = False


_FOLDER_PATTERN: Final = r"[\w.-]+(/[\w.-]+)*"
_REGION_PATTERN: Final = r"[a-z]{2}(-[a-z]+)+-[0-9]"
_EMAIL_PATTERN: Final = r"[^@\s]+@[^@\s]+\.[^@\s]+|none"
_ENVIRONMENT: Final = r"[a-z][a-z0-9]*(-[a-z0-9]+)*"
_VARIABLE: Final = r"[A-Za-z][A-Za-z0-9_.:-]{0,99}"
YES_NO: Final = ("yes", "no")


def _choice(option: str, text: str, choices: tuple[str, ...], only_if: str = "", default: str = "") -> Question:
    pattern = "|".join(map(re.escape, choices))
    return Question(option, text, pattern, f"use one of {', '.join(choices)}", only_if, default or choices[0], choices)


QUESTIONS: Final = (
    Question(
        "name",
        "Project name",
        r"[a-z][a-z0-9-]{0,30}",
        "use up to 31 lower-case letters, digits and hyphens, starting with a letter",
    ),
    Question("repository", "GitHub repository", r"[\w.-]+/[\w.-]+", "use the format OWNER/NAME"),
    Question("branch", "Branch to deploy", r"[\w.-]+(/[\w.-]+)*", "use the default branch", default="main"),
    Question(
        "account",
        "AWS account ID",
        r"[0-9]{12}",
        "use the 12-digit account ID: aws sts get-caller-identity --query Account --output text",
    ),
    Question("region", "AWS region", _REGION_PATTERN, "use a region code, e.g. eu-west-1", default="eu-west-1"),
    _choice("api", "Language of the API", (*LANGUAGES, NONE), default=NONE),
    Question("api-folder", "Folder of the API", _FOLDER_PATTERN, "use a folder in the repository", "api", "api"),
    _choice("runtime", "Runtime of the API", RUNTIMES, "api"),
    _choice("database", "PostgreSQL database for the API", YES_NO, "api", "no"),
    Question(
        "secrets",
        "Secrets to generate for the API, separated by commas",
        rf"{_VARIABLE}(,{_VARIABLE})*|none",
        "use variable names, e.g. SESSION_KEY,JWT_SECRET, or none",
        "api",
        NONE,
    ),
    Question(
        "site", "Folder of the built site", _FOLDER_PATTERN, "use a folder in the repository, or none", default=NONE
    ),
    Question(
        "site-build",
        "Command that builds the site",
        r"[\w./ :@=-]+",
        "enter a command with its arguments, such as `npm run build`, or `none`",
        "site",
        NONE,
    ),
    Question(
        "site-folder",
        "Folder in which the build command runs",
        _FOLDER_PATTERN,
        "use a folder in the repository",
        "site-build",
        ".",
    ),
    Question(
        "environments",
        "Environments, separated by commas",
        rf"{_ENVIRONMENT}(,{_ENVIRONMENT})*",
        "use names with lower-case letters, digits and hyphens, e.g. staging,prod",
        default="prod",
    ),
    Question(
        "promotion",
        "Deploy to production only releases that are healthy in the previous environment",
        "yes|no",
        "use yes or no",
        default="yes",
        choices=YES_NO,
        needs_environments=True,
    ),
    Question("email", "E-mail address for alarms", _EMAIL_PATTERN, "use an e-mail address, or none", default=NONE),
    Question(
        "budget", "Monthly budget in USD", r"[1-9][0-9]{0,6}|none", "use a whole number, or none", "email", default="50"
    ),
    Question(
        "tool",
        "Repository and commit of the orchestrator workflows",
        r"[\w.-]+/[\w.-]+@[0-9a-f]{40}",
        "use the format OWNER/NAME@COMMIT, with a GitHub repository and the full 40-digit hash of a published commit",
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
        if question.needs_environments and "," not in answers.get("environments", ""):
            continue
        answer = options.get(question.option)
        answer = answer if answer is None else _complete(question, answer)
        default = defaults.get(question.option) or _default_of(question, answers)
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
    choices = f" ({', '.join(question.choices)})" if question.choices else ""
    default_hint = f" [{default}]" if default else ""
    for _ in range(5):
        answer = _complete(question, ask(f"{question.text}{choices}{default_hint}:")) or default
        if not answer or _is_valid(question, answer):
            return answer
        on_invalid_answer(f"  {answer}: {question.reason}")
    return answer


def _complete(question: Question, answer: str) -> str:
    """Return the choice that ``answer`` abbreviates, or the answer as it is."""
    matches = [choice for choice in question.choices if answer and choice.startswith(answer.lower())]
    return matches[0] if len(matches) == 1 else answer


def _default_of(question: Question, answers: Mapping[str, str]) -> str:
    """Return the default answer; a site is built in the folder above its output."""
    if question.option == "site-folder":
        return posixpath.dirname(answers.get("site", "")) or question.default
    return question.default


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
    flags = {name: answers.get(name) == "yes" for name in ("database", "promotion")}
    return Answers(**{**fields, **flags})  # type: ignore[arg-type]


def find_production(names: tuple[str, ...]) -> str:
    """Return the environment of the customers: `prod`, or else the last one."""
    return DEFAULT_NAME if DEFAULT_NAME in names else names[-1]


def find_promotion_pair(names: tuple[str, ...]) -> tuple[str, str] | None:
    """Return the environments that releases are promoted from and to: the last one before production, and that."""
    production = find_production(names)
    others = [name for name in names if name != production]
    return (others[-1], production) if others else None


def validate_answer(option: str, answer: str) -> str:
    """Return ``answer`` if it is valid for ``option``.

    Raises Problems if it is not.
    """
    question = next(candidate for candidate in QUESTIONS if candidate.option == option)
    if not _is_valid(question, answer):
        raise Problems([_invalid_answer_problem(question, answer)])
    return answer
