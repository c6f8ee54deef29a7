"""`orchestrator init` for a whole project: what it writes holds, and nothing that was there is lost."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from orchestrator.bootstrap import github_settings
from orchestrator.cli.main import COMMANDS, main
from orchestrator.doctor.workflow_checks import CALLER_PERMISSIONS, REQUIRED_PERMISSIONS, check_workflow_files
from orchestrator.emulator import Emulator
from orchestrator.problems import ExitCode, Problems
from orchestrator.scaffold import detection, questions
from orchestrator.vocabulary import Scope
from tests.proofs.real_stack import emulated_aws

TOOL = "team/orchestrator@0123456789abcdef0123456789abcdef01234567"
FLAGS = ("--repository", "team/shop", "--account", "123456789012", "--tool", TOOL)
WHOLE = (
    *FLAGS,
    "--name",
    "shop",
    "--api",
    "python",
    "--database",
    "yes",
    "--site",
    "web/dist",
    "--email",
    "a@b.example",
)
LINTERS = (
    ["actionlint", "-oneline"],
    ["zizmor", "--offline", "--no-progress", "--format", "plain", ".github"],
    [
        "check-jsonschema",
        "--builtin-schema",
        "vendor.github-workflows",
        *(f".github/workflows/{one}.yml" for one in REQUIRED_PERMISSIONS),
    ],
)
REAL = Path(__file__).parents[2] / ".github" / "workflows"


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with emulated_aws() as running:
        yield running


def everything(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file() and ".git" not in path.relative_to(folder).parts]
    return {str(path.relative_to(folder)): path.read_text() for path in files}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    subprocess.run(["git", "init", "-q", "-b", "main", str(tmp_path)], check=True)
    monkeypatch.chdir(tmp_path)
    assert main(["init", *WHOLE]) == ExitCode.OK
    return tmp_path


def test_it_is_valid_and_can_be_planned(
    project: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On an empty AWS, with an application beside it; the bases of images are not asked about here."""
    for name, value in emulator.environment.items():
        monkeypatch.setenv(name, value)
    api = project / "manifests/api.yaml"
    api.write_text(api.read_text().replace("context: ../api", "context: ../api\n      resolveBases: false"))
    (project / "api/requirements.txt").write_text("")
    (project / "web/dist").mkdir(parents=True)
    (project / "web/dist/index.html").write_text("<h1>shop</h1>")

    assert main(["validate"]) == ExitCode.OK
    assert main(["plan"]) == ExitCode.OK
    said = capsys.readouterr().out
    assert [
        word
        for word in ("ecs_express_service.api", "rds_instance.main", "s3_site.web", "ecr_image.api")
        if word not in said
    ] == []


def test_its_workflows_are_clean(project: Path) -> None:
    """By the linters that know GitHub, and by what `orchestrator doctor` looks for."""
    for command in LINTERS:
        tool = Path(sys.executable).parent / command[0]
        if not tool.exists():
            pytest.skip(f"needs {command[0]}")
        done = subprocess.run([str(tool), *command[1:]], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert {each.state for each in check_workflow_files(project, "")} == {"ok"}


@pytest.mark.parametrize("name", REQUIRED_PERMISSIONS)
def test_a_workflow_gives_what_the_called_one_takes(name: str, project: Path) -> None:
    """Inputs by name and type: GitHub starts no workflow that is given another."""
    made = yaml.safe_load((project / f".github/workflows/{name}.yml").read_text())
    takes = yaml.safe_load((REAL / f"{name}.yml").read_text())[True]["workflow_call"]["inputs"]
    (job,) = made["jobs"].values()
    asked = made[True]
    asked = asked.get("workflow_dispatch", {}).get("inputs", {}) if isinstance(asked, dict) else {}

    assert job["uses"] == f"team/orchestrator/.github/workflows/{name}.yml@{TOOL.partition('@')[2]}"
    assert set(job["with"]) <= set(takes)
    assert set(asked) | {"environment"} == set(job["with"])
    assert job["with"]["environment"] == ("${{ inputs.environment || 'prod' }}" if "environment" in asked else "prod")
    kinds = {"choice": "string"}
    assert {one: kinds.get(each["type"], each["type"]) for one, each in asked.items()} == {
        one: takes[one]["type"] for one in asked
    }


def test_one_address_serves_the_site_and_the_api(project: Path) -> None:
    """The page asks `/api/...` of its own host: no CORS, no second name."""
    cdn = yaml.safe_load((project / "manifests/cdn.yaml").read_text())

    assert cdn["spec"]["paths"] == [{"pattern": "/api/*", "origin": "containerservice.api"}]


def test_editors_check_each_file_by_its_schema(project: Path) -> None:
    """One kind a file, and the line that yaml-language-server reads, with the schema of the pinned version."""
    for file in (project / "manifests").glob("*.yaml"):
        first, _, text = file.read_text().partition("\n")
        (document,) = yaml.safe_load_all(text)
        name = f"schemas/{document['kind'].lower()}.schema.json"
        assert first.endswith(f"raw.githubusercontent.com/{TOOL.replace('@', '/')}/{name}")
        assert (REAL.parents[1] / name).is_file()


def test_git_does_not_take_what_is_secret_or_built(project: Path) -> None:
    """`git add -A` is one of the next steps."""
    for name in (".env", "api/.env.local", "web/node_modules/x.js", "web/dist/index.html", "api/__pycache__/a.pyc"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("x")
    subprocess.run(["git", "add", "-A"], cwd=project, check=True)
    added = subprocess.run(["git", "ls-files"], cwd=project, check=True, capture_output=True, text=True).stdout

    assert not re.search(r"\.env|node_modules|__pycache__", added)
    assert "manifests/project.yaml" in added


def test_the_readme_is_extended_once(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the team wrote stays; the section names their branch and environments."""
    text = (project / "README.md").read_text()
    assert main(["init", "--force", *WHOLE]) == ExitCode.OK
    assert (project / "README.md").read_text() == text
    assert "merge a pull request into `main`" in text


@pytest.mark.parametrize("language", questions.LANGUAGES)
@pytest.mark.parametrize("environments", ["prod", "staging,prod", "dev,production"])
def test_every_environment_is_valid_beside_the_others(
    language: str, environments: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No name is shared, and each environment has its own workflows."""
    subprocess.run(["git", "init", "-q", "-b", "trunk", str(tmp_path)], check=True)
    monkeypatch.chdir(tmp_path)
    answers = (*WHOLE, "--environments", environments, "--secrets", "A_KEY,B_KEY", "--budget", "70")
    assert main(["init", *answers, "--api", language]) == ExitCode.OK

    assert main(["validate"]) == ExitCode.OK
    assert {each.state for each in check_workflow_files(tmp_path, "", needs_promotion="," in environments)} == {"ok"}
    deploys = {path.name: yaml.safe_load(path.read_text()) for path in Path(".github/workflows").glob("deploy*.yml")}
    names = environments.split(",")
    assert {name.removeprefix("deploy").removesuffix(".yml").lstrip("-") or "prod" for name in deploys} == set(names)
    assert all(made[True]["push"] == {"branches": ["trunk"]} for made in deploys.values())
    rollback = yaml.safe_load(Path(".github/workflows/rollback.yml").read_text())
    default = rollback[True]["workflow_dispatch"]["inputs"]["environment"]["default"]
    assert default == names[-1]
    if (actionlint := Path(sys.executable).parent / "actionlint").exists():
        done = subprocess.run([str(actionlint), "-oneline"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_an_added_environment_leaves_the_others(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`prod` is still there, and a command without -e does not take the new one for it."""
    monkeypatch.chdir(project)
    assert main(["init", "--add-environment", "staging"]) == ExitCode.OK
    added = (project / ".github/workflows/plan-staging.yml").read_text()
    assert f"/plan.yml@{TOOL.partition('@')[2]}" in added, "the commit that the other workflows call"
    capsys.readouterr()

    assert main(["validate"]) == ExitCode.OK
    assert "(prod, staging)" in capsys.readouterr().out
    assert main(["plan"]) == ExitCode.FAILED
    assert "one of: prod, staging" in capsys.readouterr().err


def test_what_environments_share_follows_an_added_one(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As if both had been asked for at once; a file that the team has changed is theirs, and is named."""
    monkeypatch.chdir(project)
    assert main(["init", "--add-environment", "staging", "--promotion", "yes", "--tool", TOOL]) == ExitCode.OK
    added = everything(project)
    assert "Change by hand" not in capsys.readouterr().out
    assert main(["init", "--force", *WHOLE, "--environments", "staging,prod"]) == ExitCode.OK
    at_once = everything(project)
    shared = [name for name in added if name.startswith((".github/", "manifests/environments/"))]
    assert {name: added[name] for name in shared} == {name: at_once[name] for name in shared}
    assert {".github/workflows/promote.yml", ".github/workflows/rollback.yml"} <= set(shared)
    assert "Environments: `prod`, `staging`." in added["README.md"]

    own = added[".github/workflows/rollback.yml"] + "# ours\n"
    (project / ".github/workflows/rollback.yml").write_text(own)
    capsys.readouterr()
    assert main(["init", "--add-environment", "dev", "--tool", TOOL]) == ExitCode.OK
    assert "rollback.yml was edited manually: set `role: " in capsys.readouterr().out
    assert (project / ".github/workflows/rollback.yml").read_text() == own


def test_a_called_workflow_of_several_environments_takes_what_it_is_given(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`promote`, started by hand, by the clock and after a deploy: inputs by name, permissions that it asks for."""
    monkeypatch.chdir(project)
    assert main(["init", "--force", *WHOLE, "--environments", "staging,prod"]) == ExitCode.OK
    ours = yaml.safe_load((REAL / "promote.yml").read_text())
    needed = ours["jobs"]["promote"]["permissions"]
    made = {
        name: yaml.safe_load(Path(f".github/workflows/{name}.yml").read_text())
        for name in ("promote", "deploy-staging")
    }
    calls = [job for document in made.values() for name, job in document["jobs"].items() if name == "promote"]

    assert len(calls) == 2
    assert CALLER_PERMISSIONS["promote"] == needed
    for job in calls:
        assert set(job["with"]) <= set(ours[True]["workflow_call"]["inputs"])
        assert job["permissions"] == needed
    assert set(made["promote"][True]["workflow_dispatch"]["inputs"]) | {"role"} == set(calls[0]["with"])
    assert made["promote"][True]["schedule"]


def test_agents_are_told_what_they_may_do(project: Path) -> None:
    """Commands that exist, and none that writes among those to run; what a team wrote itself stays."""
    text = (project / "AGENTS.md").read_text()
    named = set(re.findall(r"`(?:orchestrator )?([a-z]+)", text)) & set(COMMANDS)
    forbidden = set(re.findall(r"`([a-z]+)`", text.partition("Never run")[2].partition("\n\n")[0])) & set(COMMANDS)

    assert {"validate", "explain", "plan", "drift", "mcp"} <= named - forbidden
    assert {"apply", "deploy", "promote", "rollback", "restore", "destroy", "bootstrap"} <= forbidden
    (project / "AGENTS.md").write_text("Be kind.\n")
    assert main(["init", "--force", *WHOLE]) == ExitCode.OK
    assert (project / "AGENTS.md").read_text().startswith("Be kind.\n\n<!-- deployment for agents")


def test_what_is_missing_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a terminal nobody is asked: every answer that is missing or none, and nothing is written."""
    monkeypatch.chdir(tmp_path)

    assert (
        main(["init", "--name", "My Shop", "--account", "12", "--tool", "team/x@main", "--site", "../web"])
        == ExitCode.FAILED
    )
    said = capsys.readouterr().err
    assert [
        word
        for word in ("--name My Shop", "--account 12", "--tool team/x@main", "--site", "--repository")
        if word not in said
    ] == []
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_over_unasked(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is there stays and is named; manifests that are there are nobody's to write. --force names what it takes."""
    (project / ".github/workflows/plan.yml").write_text("mine")
    (project / ".github/workflows/drift.yml").unlink()
    (project / "manifests/api.yaml").unlink()
    before = everything(project)
    capsys.readouterr()

    assert main(["init", "--tool", TOOL]) == ExitCode.OK
    said = capsys.readouterr().out
    after = everything(project)
    assert {name for name, text in after.items() if before.get(name) != text} == {".github/workflows/drift.yml"}
    assert "Kept, because they already exist (use --force to overwrite them):\n  .github/workflows/plan.yml" in said

    assert main(["init", "--force", *WHOLE]) == ExitCode.OK
    assert "Overwritten:\n  manifests/project.yaml" in capsys.readouterr().out
    assert "team/orchestrator" in (project / ".github/workflows/plan.yml").read_text()


def test_a_person_is_asked_again_until_it_fits() -> None:
    """With what the checkout says as the proposal; what follows from a no is not asked."""
    typed = iter(["", "", "shop", "1", "12", "123456789012", "", "cobol", "none", "none", "", "", TOOL])
    asked: list[str] = []
    told: list[str] = []

    def ask(question: str) -> str:
        asked.append(question)
        return next(typed)

    given = {"name": "shop", "email": None}
    found = questions.collect_answers(given, {"repository": "team/other"}, ask, told.append)

    assert found.name == "shop"
    assert found.repository == "team/other"
    assert asked[0] == "GitHub repository [team/other]:"
    assert (found.account, found.region) == ("123456789012", "eu-west-1")
    assert [question for question in asked if "database" in question or "builds" in question] == []
    assert len(told) == 4


def test_the_end_of_the_input_ends_the_questions() -> None:
    with pytest.raises(Problems, match="--account is missing"):
        questions.collect_answers(
            {}, {"name": "shop", "repository": "team/shop", "tool": TOOL}, lambda question: "", print
        )


def test_on_a_terminal(tmp_path: Path) -> None:
    """The real thing: a terminal, a person who types, a project."""
    ours, theirs = pty.openpty()
    environ = {**os.environ, "TERM": "dumb"}
    command = [sys.executable, "-m", "orchestrator", "init", str(tmp_path / "shop"), "--tool", TOOL]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environ)
    os.close(theirs)
    answers = ("", "team/shop", "", "123456789012", "", "node", "", "", "y", "", "", "", "")  # `y` is enough
    os.write(ours, "".join(f"{answer}\n" for answer in answers).encode())
    assert process.wait(60) == 0
    os.close(ours)

    assert "repository: team/shop" in (tmp_path / "shop/manifests/project.yaml").read_text()
    assert (tmp_path / "shop/api/Dockerfile").exists()
    assert "DATABASE_URL" in (tmp_path / "shop/manifests/secret.yaml").read_text()


def test_a_checkout_says_much_itself(tmp_path: Path) -> None:
    """Git's remote, folders of an API and of a page."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    subprocess.run(["git", "remote", "add", "origin", "git@github.com:team/My_Shop.git"], cwd=tmp_path, check=True)
    files = {
        "backend/shop.csproj": '<Project Sdk="Microsoft.NET.Sdk.Web" />',
        "frontend/package.json": '{"scripts": {"build": "vite build"}, "devDependencies": {"vite": "7"}}',
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    found = detection.guess_answers(tmp_path, {"AWS_REGION": "eu-central-1"})

    assert {key: found[key] for key in ("name", "repository", "region", "api", "api-folder", "site", "site-build")} == {
        "name": "my-shop",
        "repository": "team/My_Shop",
        "region": "eu-central-1",
        "api": "dotnet",
        "api-folder": "backend",
        "site": "frontend/dist",
        "site-build": "npm run build",
    }


def test_another_environment_has_workflows_of_its_own(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They read the variables that `bootstrap github -e staging-eu` sets; the files of prod stay as they are.

    But for `rollback.yml`, which takes the environment as an input, and its role with it.
    """
    monkeypatch.chdir(project)
    before = {path.name: path.read_text() for path in (project / ".github/workflows").iterdir()}

    assert main(["init", "-e", "staging-eu", "--tool", TOOL]) == ExitCode.OK

    assert "only the overlay and workflows of staging-eu" in capsys.readouterr().out
    after = {path.name: path.read_text() for path in (project / ".github/workflows").iterdir()}
    new = {name: yaml.safe_load(text) for name, text in after.items() if name not in before}
    assert [name for name in before if after[name] != before[name]] == ["rollback.yml"]
    (rollback,) = yaml.safe_load(after["rollback.yml"])["jobs"].values()
    assert "== 'staging-eu' && vars.ORCHESTRATOR_DEPLOY_ROLE_STAGING_EU" in rollback["with"]["role"]
    passed = {name: next(iter(made["jobs"].values()))["with"] for name, made in new.items()}
    assert {name: given["environment"] for name, given in passed.items()} == {
        "plan-staging-eu.yml": "staging-eu",
        "deploy-staging-eu.yml": "staging-eu",
        "drift-staging-eu.yml": "staging-eu",
    }
    scope = Scope("shop", "staging-eu", "123456789012", "eu-west-1")
    variables = github_settings.repository_variables(scope, has_environments=False)
    named = set(re.findall(r"vars\.(\w+)", str(passed)))
    assert named == {"ORCHESTRATOR_PLAN_ROLE_STAGING_EU", "ORCHESTRATOR_DEPLOY_ROLE_STAGING_EU"} <= set(variables)
    assert {each.state for each in check_workflow_files(project, "")} == {"ok"}
    for name, given in passed.items():
        takes = yaml.safe_load((REAL / f"{name.partition('-')[0]}.yml").read_text())[True]["workflow_call"]["inputs"]
        assert set(given) <= set(takes)


@pytest.mark.parametrize("name", ["../../x", "Staging", "a b"])
def test_what_is_no_environment_writes_nothing(
    name: str, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its name becomes part of a path."""
    monkeypatch.chdir(project)
    before = sorted(project.rglob("*"))

    assert main(["init", "-e", name, "--tool", TOOL]) == ExitCode.FAILED

    assert "invalid environment name" in capsys.readouterr().err
    assert sorted(project.rglob("*")) == before
