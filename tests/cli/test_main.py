"""The command as a whole: help, what goes wrong, exit codes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from orchestrator.cli.main import COMMANDS, cli, main
from orchestrator.cli.options import common_options
from orchestrator.problems import ExitCode, Position, Problem, Problems
from orchestrator.runs.settings import Settings

PROBLEMS = Problems(
    [
        Problem("Versoning is unknown", Position("manifests/a.yaml", 3, 7), "did you mean `versioning`?"),
        Problem("the account is closed"),
    ]
)


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The installed command in a process of its own."""
    command = [sys.executable, "-m", "orchestrator", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environ)


def raising(error: BaseException) -> click.Command:
    """A verb that goes wrong."""

    @click.command("raise")
    @common_options
    def command(settings: Settings) -> None:
        raise error

    return command


@pytest.mark.parametrize("verb", COMMANDS)
def test_every_verb_has_help_with_examples(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` says what the verb does in the words of the overview, and shows it at work."""
    code = main([verb, "--help"])
    shown = capsys.readouterr().out

    assert code == ExitCode.OK
    assert COMMANDS[verb] in " ".join(shown.split())
    for words in verbs_of(verb):
        assert main([*words, "--help"]) == ExitCode.OK
        shows_it_at_work(" ".join(words), capsys.readouterr().out)


def verbs_of(verb: str) -> list[list[str]]:
    """The verb itself, or those of which it is a group."""
    command = cli.get_command(click.Context(cli), verb)
    if isinstance(command, click.Group):
        return [[verb, name] for name in command.list_commands(click.Context(command))]
    return [[verb]]


def shows_it_at_work(verb: str, shown: str) -> None:
    assert re.search(rf"Examples:\n(  .*\n)*  .*orchestrator {verb}", shown)
    for option in ("--manifests", "--environment", "--verbose", "--log-format", "--no-color"):
        assert option in shown


def test_the_overview_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    """Alone, the command shows its help."""
    assert main([]) == ExitCode.OK
    shown = capsys.readouterr().out

    assert [verb for verb in COMMANDS if not re.search(rf"^  {verb} ", shown, re.MULTILINE)] == []


def test_help_imports_next_to_nothing() -> None:
    """Help and completion pay for no library that they do not use."""
    heavy = {"boto3", "botocore", "rich", "jsonschema", "structlog", "yaml", "orchestrator.planning.pipeline"}
    probe = (
        "import sys; from orchestrator.cli.main import main; main(['--help']); main(['plan', '--help']);"
        f"print(sorted({heavy!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["pln"], "unknown command 'pln'; did you mean 'plan'?"),
        (["zzz"], "unknown command 'zzz'"),
        (["plan", "--formt", "json"], "no such option '--formt'"),
        (["plan", "--format", "yaml"], "'yaml' is not one of"),
        (["apply", "--parallelism", "0"], "0 is not in the range"),
        (["completion", "tcsh"], "'tcsh' is not one of"),
        (["apply", "nowhere.json"], "cannot read the plan from nowhere.json"),
    ],
)
def test_a_wrong_command_line_exits_1(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """2 means "there are changes", so a mistake is 1, with a sentence on standard error."""
    code = main(arguments)
    out, err = capsys.readouterr()

    assert (code, out) == (ExitCode.FAILED, "")
    assert words in err
    assert "Traceback" not in err


def test_every_problem_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Each with its place and its hint, and counted."""
    code = main([], raising(PROBLEMS))

    assert code == ExitCode.FAILED
    assert capsys.readouterr().err == (
        "error: the account is closed\n"
        "manifests/a.yaml:3:7: Versoning is unknown\n"
        "    hint: did you mean `versioning`?\n"
        "2 problems.\n"
    )


def test_problems_are_annotated_in_actions(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """GitHub shows them beside the lines that are to blame."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    main([], raising(PROBLEMS))

    assert (
        "::error file=manifests/a.yaml,line=3,col=7::Versoning is unknown%0Ahint: did you mean `versioning`?\n"
        in capsys.readouterr().err
    )


def test_problems_are_json_when_logs_are(capsys: pytest.CaptureFixture[str]) -> None:
    """One object a line, so that a log collector needs no parser for people's text."""
    main(["--log-format", "json"], raising(PROBLEMS))
    records = [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    assert [(record["event"], record["file"], record["line"]) for record in records] == [
        ("problem", None, None),
        ("problem", "manifests/a.yaml", 3),
    ]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Problems([Problem("no")], ExitCode.VETOED), 3),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
        (RuntimeError("?"), 1),
    ],
)
def test_exit_codes(error: BaseException, code: int) -> None:
    """Problems bring their own; an interruption is 130 as everywhere; what nobody foresaw is 1."""
    assert main([], raising(error)) == code


def test_an_interruption_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is lost, and the same command goes on."""
    main([], raising(KeyboardInterrupt()))

    assert "Run the same command again" in capsys.readouterr().err


def test_a_crash_is_a_sentence_and_a_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No traceback on the screen; it is in a file that only its owner reads, and neither holds a secret."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    probe = (
        "import sys, click; from orchestrator.cli.main import main\n"
        "@click.command()\ndef bad(): raise KeyError('Host=db;Password=hunter2')\n"
        "sys.exit(main([], bad))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    (crash,) = tmp_path.glob("orchestrator-*.crash.txt")

    assert done.returncode == ExitCode.FAILED
    assert "Traceback" not in done.stderr
    assert str(crash) in done.stderr
    assert "Traceback" in crash.read_text()
    assert "hunter2" not in done.stderr + crash.read_text()
    assert crash.stat().st_mode & 0o077 == 0


def test_verbose_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    """For whoever asks for it."""
    main(["--verbose"], raising(RuntimeError("why")))

    assert "Traceback" in capsys.readouterr().err


def test_the_module_is_the_command() -> None:
    """`python -m orchestrator` and the script are one."""
    done = run("--version")

    assert (done.returncode, done.stdout.startswith("orchestrator"), done.stderr) == (0, True, "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_call_back(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The script asks the command itself what fits."""
    assert main(["completion", shell]) == ExitCode.OK
    assert f"_ORCHESTRATOR_COMPLETE={shell}_complete" in capsys.readouterr().out


def test_completion_knows_the_verbs() -> None:
    """What fits is told without running anything."""
    done = run(_ORCHESTRATOR_COMPLETE="bash_complete", COMP_WORDS="orchestrator de", COMP_CWORD="1")

    assert done.stdout.split() == ["plain,deploy", "plain,destroy", "plain,demo"]


def test_a_reader_that_leaves_early_is_no_failure() -> None:
    """`orchestrator completion bash | head -1` ends well, without a word."""
    command = f"{sys.executable} -m orchestrator completion bash | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_told() -> None:
    """And is no success, nor a fault of ours."""
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "orchestrator", "completion", "bash"]
        run = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)

    assert run.returncode == 1
    assert run.stderr.startswith("error: cannot write to <stdout>: No space left on device\n")


class TestValidate:
    """The offline verb, on real files."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """Two mistakes in one file."""
        (tmp_path / "bad.yaml").write_text(
            "apiVersion: orchestrator/v1\nkind: Bukket\nmetadata: {name: a}\n---\nx: 1\n"
        )
        return tmp_path

    def test_a_bad_file_is_told_with_its_place(self, folder: Path) -> None:
        """In a process of its own, as in GitHub Actions: exit 1, `file:line:column`, annotations, no traceback."""
        done = run("validate", "-f", str(folder), GITHUB_ACTIONS="true")

        assert (done.returncode, done.stdout) == (1, "")
        assert re.search(r"^\S*bad\.yaml:2:\d+: ", done.stderr, re.MULTILINE)
        assert re.search(r"^::error file=\S*bad\.yaml,line=2,col=\d+::", done.stderr, re.MULTILINE)
        assert "Traceback" not in done.stderr

    def test_a_folder_that_is_not_there(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Is a problem like any other."""
        assert main(["validate", "-f", str(tmp_path / "nowhere")]) == ExitCode.FAILED
        assert "nowhere" in capsys.readouterr().err


def test_verbs_are_files() -> None:
    """One file a verb, named after it."""
    context = click.Context(cli)
    commands = {verb: cli.get_command(context, verb) for verb in COMMANDS}

    assert all(command is not None and command.name == verb for verb, command in commands.items())
    assert cli.get_command(context, "terminal") is None
