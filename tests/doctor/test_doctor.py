"""`orchestrator doctor`: every missing thing at once, each with its fix, and never a wait without an end."""

from __future__ import annotations

import copy
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.aws import Clients
from orchestrator.bootstrap.workflow_roles import Repository
from orchestrator.cli.main import main
from orchestrator.doctor import CHECKS, aws_checks, workflow_checks
from orchestrator.emulator import Emulator, Faults
from orchestrator.planning import pipeline
from orchestrator.problems import ExitCode
from tests.bootstrap.fake_github import TOKEN, FakeGitHub, serve_github
from tests.proofs.real_stack import emulated_aws
from tests.release.manifests import PROJECT

CALLER = """\
name: {name}
on: push
permissions: {{}}
jobs:
  {name}:
    permissions: {permissions}
    uses: team/orchestrator/.github/workflows/{name}.yml@{ref}
"""
BUILT = """\
apiVersion: orchestrator/v1
kind: ContainerService
metadata: {name: api}
spec: {image: {repository: shop-api, build: {context: ..}}, port: 8080}
"""
SHA = "0123456789abcdef0123456789abcdef01234567"
REAL = Path(__file__).parents[2] / ".github" / "workflows"


@dataclass
class Office:
    """A checkout, a GitHub and an AWS that are all in order, unless a test puts something out of it."""

    folder: Path
    hub: FakeGitHub
    aws: Emulator
    capsys: pytest.CaptureFixture[str]

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def git(self, *words: str) -> None:
        subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b.example", *words], cwd=self.folder, check=True
        )

    def doctor(self, *more: str) -> tuple[int, list[dict[str, Any]]]:
        self.capsys.readouterr()
        code = main(["doctor", "--format", "json", *more])
        return code, json.loads(self.capsys.readouterr().out)["findings"]

    def lacking(self, *more: str) -> dict[str, str]:
        """What is not as it should be, by its check; each has to say how it is mended."""
        code, found = self.doctor(*more)
        wrong = [one for one in found if one["state"] == "missing"]
        assert code == (ExitCode.FAILED if wrong else ExitCode.OK)
        assert [one for one in wrong if not one["fix"]] == []
        return {one["check"]: f"{one['what']} | {one['fix']} | {one['file']}:{one['line']}" for one in wrong}


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Emulator, dict[str, Any]]]:
    """An AWS that was bootstrapped once, and what GitHub holds since then: bootstrapping is the slow part."""
    folder = tmp_path_factory.mktemp("office")
    (folder / "shop.yaml").write_text(PROJECT)
    with emulated_aws() as running, serve_github("shop/shop") as hub:
        os.environ.update({"GITHUB_API_URL": hub.url, "GITHUB_TOKEN": TOKEN})
        assert main(["bootstrap", "github", "--auto-approve", "-f", str(folder)]) == ExitCode.OK
        yield running, hub.objects


@pytest.fixture
def office(
    tmp_path: Path,
    settled: tuple[Emulator, dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Office]:
    emulator, things = settled
    emulator.faults = Faults()
    for name, value in emulator.environment.items():
        monkeypatch.setenv(name, value)
    with serve_github("shop/shop") as hub:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("GITHUB_API_URL", hub.url)
        monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
        made = Office(tmp_path, hub, emulator, capsys)
        made.write("manifests/shop.yaml", PROJECT)
        for name, needs in workflow_checks.REQUIRED_PERMISSIONS.items():
            made.write(
                f".github/workflows/{name}.yml", CALLER.format(name=name, permissions=json.dumps(needs), ref=SHA)
            )
        made.git("init", "-q", "-b", "main")
        made.git("add", "-A")
        made.git("commit", "-q", "-m", "Begin")
        made.git("remote", "add", "origin", "git@github.com:shop/shop.git")
        hub.objects.update(copy.deepcopy(things))
        hub.published.add(f"team/orchestrator/commits/{SHA}")
        yield made


def test_a_set_up_in_order(office: Office) -> None:
    """Every check is told, all are well, nothing was changed and no token is shown."""
    before = list(office.hub.writes)
    office.aws.clear_calls()
    code, found = office.doctor()

    assert (code, {one["state"] for one in found}) == (ExitCode.OK, {"ok"})
    assert list(dict.fromkeys(one["check"] for one in found)) == list(CHECKS)
    assert office.hub.writes == before
    reads = ("Get", "List", "Head", "Describe")
    assert [call.operation for call in office.aws.calls if not call.operation.startswith(reads)] == []
    assert main(["doctor"]) == ExitCode.OK
    said = office.capsys.readouterr()
    assert said.out.endswith("Nothing is missing.\n")
    assert TOKEN not in said.out + said.err + json.dumps(found)


@pytest.mark.parametrize(("word", "count"), [("app-runner", 1), ("ecs-express", 0)])
def test_an_account_that_app_runner_may_be_closed_to_is_told_of_the_other(
    office: Office, word: str, count: int
) -> None:
    """Nothing but a creation tells for sure: it is not checked, with the word that works everywhere."""
    spec = f"{{runtime: {word}, image: {{prebuilt: 'public.ecr.aws/nginx/nginx:1.27'}}, health: {{path: /}}}}"
    office.write("manifests/api.yaml", BUILT.partition("spec:")[0] + f"spec: {spec}\n")
    told = [one for one in office.doctor()[1] if "App Runner" in one["what"]]

    assert [(one["check"], one["state"]) for one in told] == [("permissions", "not checked")] * count
    assert all("`runtime: ecs-express`" in one["fix"] for one in told)


def test_everything_at_once(office: Office, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One run names all of it: another repository, workflows, builder, GitHub's settings, roles, bucket, service."""
    office.write("manifests/shop.yaml", PROJECT.replace(", releases: {bucket: bucket.releases}", ""))
    office.write("manifests/api.yaml", BUILT)
    office.write("Dockerfile", "FROM scratch\n")
    office.git("remote", "set-url", "origin", "https://github.com/team/other.git")
    shutil.rmtree(office.folder / ".github")
    office.hub.objects.clear()
    only_git = tmp_path / "bin"
    only_git.mkdir()
    (only_git / "git").symlink_to(shutil.which("git") or "")
    monkeypatch.setenv("PATH", str(only_git))
    monkeypatch.setenv("ORCHESTRATOR_STATE_URL", f"http://127.0.0.1:{free_port()}")

    wrong = office.lacking("-e", "prod")

    assert set(wrong) == {"git", "workflows", "builder", "github", "roles", "releases", "state"}, wrong
    assert "a checkout of team/other, but the Project names shop/shop" in wrong["git"]
    assert "orchestrator init" in wrong["workflows"]
    assert "install Docker" in wrong["builder"]
    assert "orchestrator bootstrap github -e prod" in wrong["github"]
    assert "permissionsBoundary: true" in wrong["roles"]
    assert "bucket.releases" in wrong["releases"]
    assert "does not" in wrong["state"] or "ConnectError" in wrong["state"]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_a_wrong_manifest_hides_nothing_else(office: Office) -> None:
    """It is told at its place; what needs it is not checked, the rest is."""
    office.write("manifests/shop.yaml", PROJECT.replace("kind: Bucket", "kind: Bukket"))
    office.write(
        ".github/workflows/plan.yml", (office.folder / ".github/workflows/plan.yml").read_text().replace(SHA, "v1")
    )
    code, found = office.doctor()

    wrong = {one["check"]: (one["file"], one["line"]) for one in found if one["state"] == "missing"}
    assert code == ExitCode.FAILED
    assert wrong == {"manifests": ("manifests/shop.yaml", 8), "workflows": (".github/workflows/plan.yml", 7)}
    assert {one["check"] for one in found if one["state"] == "not checked"} == {
        "builder", "aws", "github", "roles", "permissions", "releases"
    }  # fmt: skip


def test_a_job_that_is_not_allowed_what_it_calls(office: Office) -> None:
    """GitHub would not start it, and says so nowhere but in the list of runs."""
    office.write(".github/workflows/deploy.yml", CALLER.format(name="deploy", permissions="{contents: read}", ref=SHA))

    assert "id-token: write" in office.lacking()["workflows"]


def test_workflows_that_github_does_not_have(office: Office) -> None:
    """A path or a private repository once looked pinned; GitHub then starts no run, and shows no log."""
    office.hub.published.clear()

    found = office.lacking()["github"]
    assert f"the workflows call team/orchestrator@{SHA}, which does not exist on GitHub" in found
    assert "orchestrator init --force --tool" in found


@pytest.mark.parametrize(
    ("private", "access", "state", "text"),
    [
        (False, {"access_level": "none"}, None, ""),
        (True, {"access_level": "organization"}, None, ""),
        (True, {"access_level": "none"}, "missing", "does not allow other repositories to call its workflows"),
        (True, 403, "not checked", "cannot read which repositories can call the workflows of team/orchestrator"),
    ],
)
def test_a_private_tool_repository_has_to_let_its_workflows_be_called(
    office: Office, private: bool, access: Any, state: str | None, text: str
) -> None:
    """GitHub REST API, "Get the level of access for workflows outside of the repository"; "none" is the default."""
    owner = {"type": "Organization"}
    office.hub.others["team/orchestrator"] = {"private": private, "owner": owner}
    office.hub.others["team/orchestrator/actions/permissions/access"] = access

    found = [one for one in office.doctor()[1] if one["state"] != "ok"]

    assert [(one["check"], one["state"]) for one in found] == ([("github", state)] if state else [])
    assert all(text in one["what"] for one in found)
    if state == "missing":
        assert found[0]["fix"].endswith("team/orchestrator/actions/permissions/access -f access_level=organization")


@pytest.mark.parametrize(
    ("files", "what", "fix"),
    [
        ({".gitignore": "dist\n", "dist/index.html": "x"}, "dist/index.html is not committed to Git", "add `build`"),
        (
            {"web/package.json": '{"dependencies": {"vite": "7"}}'},
            "web has packages but no lock file",
            "--package-lock-only",
        ),
        (
            {".gitignore": "package-lock.json\n", "web/package.json": "{}", "web/package-lock.json": "{}"},
            "web/package-lock.json is not committed to Git",
            "git add -f web/package-lock.json",
        ),
    ],
)
def test_what_a_fresh_clone_lacks(files: dict[str, str], what: str, fix: str, office: Office) -> None:
    """The builds of a laptop find what git ignores; those of a runner do not."""
    spa = (
        "{dir: ../web/dist, folder: ../web, build: [sh, -c, x]}" if "dist/index.html" not in files else "{dir: ../dist}"
    )
    site = f"apiVersion: orchestrator/v1\nkind: Bucket\nmetadata: {{name: web}}\nspec: {{spa: {spa}}}\n"
    office.write("manifests/web.yaml", site)
    for name, text in files.items():
        office.write(name, text)

    found = [one for one in office.doctor()[1] if (one["check"], one["state"]) == ("builder", "missing")]
    assert [(what in one["what"], fix in one["fix"]) for one in found] == [(True, True)], found


def test_outside_of_git(office: Office) -> None:
    shutil.rmtree(office.folder / ".git")

    assert office.lacking()["git"].startswith("manifests is not in a git repository | git init")


def test_another_account_and_another_region(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing more is asked of an AWS that is not the right one."""
    office.write("manifests/shop.yaml", PROJECT.replace("123456789012", "210987654321"))
    office.aws.clear_calls()
    assert "log in to 210987654321" in office.lacking()["aws"]
    assert {call.operation for call in office.aws.calls} <= {"GetCallerIdentity"}

    office.write("manifests/shop.yaml", PROJECT)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    assert "export AWS_REGION=eu-west-1" in office.lacking()["aws"]


def test_no_credentials(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)

    assert "AWS_PROFILE" in office.lacking()["aws"]


def test_a_role_that_trusts_somebody_else(office: Office) -> None:
    """Edited by hand: the role, and that it is its trust; a variable that names another role."""
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
    }
    given = {"RoleName": "shop-prod-deploy", "PolicyDocument": json.dumps(trust)}
    Clients("eu-west-1").call("iam", "update_assume_role_policy", given)
    office.hub.objects["/actions/variables/ORCHESTRATOR_PLAN_ROLE"]["value"] = "arn:aws:iam::1:role/other"

    wrong = office.lacking()

    assert set(wrong) == {"roles", "github"}
    assert "iam_role.deploy (shop-prod-deploy) differs from what the manifests need: trust" in wrong["roles"]
    assert "ORCHESTRATOR_PLAN_ROLE" in wrong["github"]
    assert main(["bootstrap", "github", "--auto-approve"]) == ExitCode.OK
    assert office.lacking() == {}


def add_statement(trust: dict[str, Any]) -> None:
    principal = {"AWS": "arn:aws:iam::999988887777:root"}
    trust["Statement"].append({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"})


def set_claim(name: str, value: object) -> Callable[[dict[str, Any]], None]:
    def edit(trust: dict[str, Any]) -> None:
        claims = trust["Statement"][0]["Condition"]["StringEquals"]
        claims[f"token.actions.githubusercontent.com:{name}"] = value

    return edit


def drop_claim(name: str) -> Callable[[dict[str, Any]], None]:
    def edit(trust: dict[str, Any]) -> None:
        del trust["Statement"][0]["Condition"]["StringEquals"][f"token.actions.githubusercontent.com:{name}"]

    return edit


def accept_any_subject(trust: dict[str, Any]) -> None:
    condition = trust["Statement"][0]["Condition"]
    del condition["StringEquals"]["token.actions.githubusercontent.com:sub"]
    condition["StringLike"] = {"token.actions.githubusercontent.com:sub": "repo:*"}


def trust_provider(trust: dict[str, Any]) -> None:
    trust["Statement"][0]["Principal"] = {"Federated": "arn:aws:iam::123456789012:oidc-provider/evil.example"}


LOOSENED: dict[str, Callable[[dict[str, Any]], None]] = {
    "another account": add_statement,
    "any subject": accept_any_subject,
    "another provider": trust_provider,
    "no audience": drop_claim("aud"),
    "no repository": drop_claim("repository_id"),
    "no subject": drop_claim("sub"),
    "another repository": set_claim("sub", "repo:evil/shop:environment:prod"),
    "another repository's id": set_claim("repository_id", "666"),
    "another repository, too": set_claim("repository_id", ["1", "666"]),
}


@pytest.mark.parametrize("repository", [Repository("shop/shop", 456789, 123456), None], ids=["asked", "not asked"])
@pytest.mark.parametrize("role", ["plan", "deploy"])
def test_each_loosened_trust_is_missing(
    office: Office, role: str, repository: Repository | None, subtests: pytest.Subtests
) -> None:
    """Also where GitHub is not asked for the ids of the repository: all but the ids themselves can be compared."""
    clients, name = Clients("eu-west-1"), f"shop-prod-{role}"
    desired = pipeline.load_desired(office.folder / "manifests", "prod", include_artefacts=False)

    def list_missing(trust: dict[str, Any]) -> list[str]:
        request = {"RoleName": name, "PolicyDocument": json.dumps(trust)}
        clients.call("iam", "update_assume_role_policy", request)
        findings = aws_checks.check_roles(desired, clients, repository, "mend it")
        return [finding.message for finding in findings if finding.state == "missing"]

    before = clients.call("iam", "get_role", {"RoleName": name})["Role"]["AssumeRolePolicyDocument"]
    for title, loosen in LOOSENED.items():
        trust = copy.deepcopy(before)
        loosen(trust)
        with subtests.test(msg=title):
            [message] = list_missing(trust)
            assert message == f"iam_role.{role} ({name}) differs from what the manifests need: trust"

    assert list_missing(before) == []


def test_a_right_that_a_plan_needs(office: Office) -> None:
    """The action is named, and what it is for."""
    Clients("eu-west-1").call(
        "s3",
        "create_bucket",
        {"Bucket": "shop-releases", "CreateBucketConfiguration": {"LocationConstraint": "eu-west-1"}},
    )
    office.aws.faults = Faults(denied=("s3:GetBucketVersioning", "iam:GetRole"))
    wrong = office.lacking()

    assert set(wrong) == {"permissions"}
    assert "s3:GetBucketVersioning fails for 1 resource, e.g. s3_bucket.releases" in wrong["permissions"]
    _, found = office.doctor()
    (roles,) = {one["state"] for one in found if one["check"] == "roles"}
    assert roles == "not checked"  # a runner's role may not look at itself


def test_who_may_not_ask_github(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that is refused is missing; without one, what only GitHub can confirm is named."""
    monkeypatch.setenv("GITHUB_TOKEN", "ghp_another")
    assert "gh auth login" in office.lacking()["github"]

    monkeypatch.delenv("GITHUB_TOKEN")
    monkeypatch.setenv("PATH", without("gh"))
    code, found = office.doctor()
    assert code == ExitCode.OK
    assert {one["check"] for one in found if one["state"] != "ok"} == {"github", "roles"}


def without(program: str) -> str:
    """PATH without the folder of a program."""
    folder = str(Path(shutil.which(program) or "/none/x").parent)
    return os.pathsep.join(each for each in os.environ["PATH"].split(os.pathsep) if each != folder)


def test_a_dead_network_holds_nobody_up(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything takes the connection and says nothing: what is on this machine is told, the rest is not checked."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        for name in ("AWS_ENDPOINT_URL", "GITHUB_API_URL", "ORCHESTRATOR_STATE_URL"):
            monkeypatch.setenv(name, url)
        begun = time.monotonic()
        code, found = office.doctor("--timeout", "1.5")

    assert time.monotonic() - begun < 10
    assert code == ExitCode.OK
    states = {one["check"]: one["state"] for one in found}
    dark = {name for name, state in states.items() if state == "not checked"}
    assert dark == {"aws", "github", "roles", "permissions", "releases", "state"}
    assert {states[name] for name in set(CHECKS) - dark} == {"ok"}


def test_actions_shows_it_at_its_line(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_REPOSITORY", "team/fork")
    assert main(["doctor"]) == ExitCode.FAILED

    assert "::error file=manifests/shop.yaml,line=" in office.capsys.readouterr().err


@pytest.mark.parametrize("name", workflow_checks.REQUIRED_PERMISSIONS)
def test_what_the_real_workflows_need(name: str) -> None:
    """The table that doctor and init go by is what the jobs ask for, all together."""
    levels = ["none", "read", "write"]
    needed: dict[str, str] = {}
    for job in yaml.safe_load((REAL / f"{name}.yml").read_text())["jobs"].values():
        for scope, level in job["permissions"].items():
            needed[scope] = max(needed.get(scope, "none"), level, key=levels.index)

    assert workflow_checks.REQUIRED_PERMISSIONS[name] == needed
