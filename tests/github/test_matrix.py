"""Several applications and environments in one repository: those with changes run, and one comment gathers their plans.

GitHub's documentation: "Running variations of jobs in a workflow" (a matrix from the output of a job), "Reuse
workflows" (a matrix of calls), "List workflow runs for a workflow" (``conclusion``, ``created_at``, ``updated_at``).
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.bootstrap import workflow_roles
from orchestrator.cli.main import main
from orchestrator.github import gathered_comment, last_deployed_commit, review_evidence, reviewed_plan, sticky_comment
from orchestrator.github.notifications import comment_marker
from orchestrator.problems import ExitCode
from orchestrator.runs import changed_environments
from orchestrator.vocabulary import Scope
from tests.github import workflow_runner
from tests.github.shop_repository import PROJECT, ShopRepository, bucket_manifest, read_output
from tests.github.test_review_evidence import FORGED, MAIN, Review, github, review
from tests.render.sample_plans import FULL_PLAN

__all__ = ["github", "review"]
API = """\
apiVersion: orchestrator/v1
kind: ContainerService
metadata: {name: api}
spec: {image: {repository: shop-api, build: {context: ../api}}, port: 8080, health: {path: /health}}
"""
WEB = """\
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: web}
spec: {name: blog-web, spa: {dir: ../web/dist, folder: ../web, build: [npm, run, build]}}
"""
FILES: dict[str, str | None] = {
    "manifests/project.yaml": None,
    "manifests/web.yaml": None,
    "apps/shop/manifests/project.yaml": PROJECT,
    "apps/shop/manifests/api.yaml": API,
    "apps/shop/manifests/environments/staging.yaml": "# nothing differs\n",
    "apps/shop/api/Dockerfile": "FROM scratch\n",
    "apps/blog/manifests/project.yaml": PROJECT.replace("shop}", "blog}").replace("shop-releases", "blog-releases"),
    "apps/blog/manifests/web.yaml": WEB,
    "apps/blog/web/package.json": "{}",
    "package.json": '{"workspaces": ["apps/blog/web", "packages/*"]}',
    "packages/button/index.js": "",
    "README.md": "",
}
PROMOTION = """\
apiVersion: orchestrator/v1
kind: Project
metadata: {name: shop}
spec: {promotion: {from: staging}}
"""
SHOP, BLOG = {"shop/prod", "shop/staging"}, {"blog/prod"}
CHANGES: dict[str, set[str]] = {
    "apps/shop/api/server.js": SHOP,
    "apps/shop/manifests/api.yaml": SHOP,
    "apps/shop/manifests/new.yaml": set(),
    "apps/shop/manifests/environments/staging.yaml": {"shop/staging"},
    "apps/blog/web/src/index.html": BLOG,
    "apps/blog/web/dist": BLOG,
    ".github/workflows/plan.yml": SHOP | BLOG,
    "README.md": set(),
    "apps/other/x": set(),
    "packages/button/index.js": set(),
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        if text is not None:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
    for command in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path


def changed_by(repository: Path, *paths: str) -> set[str]:
    environments = changed_environments.list_environments(repository)
    return {f"{item.manifests.split('/')[1]}/{item.name}" for item in environments if item.is_changed(paths)}


def test_an_environment_runs_if_one_of_its_inputs_changed(repository: Path) -> None:
    """Its manifests, without those of other environments; what they name; the workflows. A new manifest is one too."""
    environments = changed_environments.list_environments(repository)
    assert {name: changed_by(repository, name) for name in CHANGES} == CHANGES
    assert len(environments) == 3

    (repository / "apps/shop/manifests/new.yaml").write_text(bucket_manifest("new"))
    assert changed_by(repository, "apps/shop/manifests/new.yaml") == SHOP
    (repository / "package-lock.json").write_text("{}")
    assert changed_by(repository, "packages/button/index.js") == BLOG, "a site of a workspace is built with all of it"


def test_what_cannot_be_told_runs(repository: Path) -> None:
    """Manifests with a mistake run, to say so; a commit that git does not know is no base."""
    (repository / "apps/shop/manifests/api.yaml").write_text("kind: [")

    assert changed_by(repository, "README.md") == SHOP
    assert changed_environments.list_changed_paths(repository, "0" * 40) is None


def run_of(commit: str, conclusion: str | None, created: int, updated: int) -> dict[str, Any]:
    return {"head_sha": commit, "conclusion": conclusion, "created_at": f"{created:03}", "updated_at": f"{updated:03}"}


RUNS: dict[str, tuple[list[dict[str, Any]], str]] = {
    "the newest success": ([run_of("b", "success", 3, 4), run_of("a", "success", 1, 2)], "b"),
    "not a failure": ([run_of("b", "failure", 3, 4), run_of("a", "success", 1, 2)], "a"),
    "not one that is running": ([run_of("c", None, 5, 5), run_of("b", "success", 3, 4)], "b"),
    "not one that a failure has superseded": (
        [run_of("c", "failure", 3, 9), run_of("b", "success", 2, 4), run_of("a", "success", 0, 1)],
        "a",
    ),
    "not one that overlaps such a one": (
        [run_of("d", "failure", 6, 9), run_of("c", "success", 4, 7), run_of("b", "success", 2, 5)],
        "",
    ),
    "none": ([run_of("a", "cancelled", 1, 2)], ""),
}


@pytest.mark.parametrize(("runs", "commit"), RUNS.values(), ids=RUNS)
def test_a_deploy_is_compared_with_the_last_complete_one(runs: list[dict[str, Any]], commit: str) -> None:
    assert last_deployed_commit.choose_commit(runs) == commit


def section(environment: str, plan: Any = FULL_PLAN, text: str = "") -> str:
    marker, _ = reviewed_plan.create_marker(plan)
    return f"{comment_marker('manifests', environment)}\n### `shop/{environment}`: 1 to create\n{text}\n{marker}\n"


def test_each_section_is_reviewed_by_itself(review: Review) -> None:
    """The run that wrote the comment is proved by an artefact of the whole comment."""
    sections = {"prod": section("prod"), "staging": section("staging", FORGED), "blog/prod": ""}
    body = gathered_comment.render(sections, "0" * 40, "https://run")
    for comment in review.hub.list_comments(review.number):
        review.hub.comments.pop(comment["id"])
    sticky_comment.upsert(review.github, review.number, gathered_comment.MARKER, body)
    review.hub.upload_artifact(review.run, review_evidence.artifact_name("all", body))
    review.shop.merge(review.number)

    def check(environment: str) -> review_evidence.ReviewCheck:
        marker = comment_marker("manifests", environment)
        return review_evidence.check_review(review.github, review.hub.pulls[review.number], environment, marker, MAIN)

    plans = {name: check(name).plan for name in ("prod", "staging", "dev")}
    assert {name: plan and plan.digest for name, plan in plans.items()} == {
        "prod": FULL_PLAN.digest,
        "staging": FORGED.digest,
        "dev": None,
    }
    assert "- `blog/prod`: no plan" in body
    sticky_comment.upsert(review.github, review.number, gathered_comment.MARKER, body.replace("1 to", "0 to"))
    assert "no run of the plan workflow wrote this comment" in check("prod").rejection


def test_no_section_passes_for_another() -> None:
    """A section with the frame of another in it, or one that is too long, is not shown, so it is not reviewed."""
    hostile = gathered_comment.render({"prod": section("prod")}, "0" * 40, "https://run")
    long = section("staging", text="x" * 60_000)
    body = gathered_comment.render({"dev": section("dev", text=hostile), "staging": long}, "0" * 40, "https://run")

    assert gathered_comment.find_section(body, comment_marker("manifests", "prod")) == ""
    assert gathered_comment.find_section(body, comment_marker("manifests", "staging")) == ""
    assert body.count("too long for this comment, so it does not count as reviewed") == 2
    assert len(body) < 2_000


@pytest.mark.slow
def test_one_comment_of_what_changed(shop: ShopRepository) -> None:
    """By the workflows that `init --matrix` writes, on a runner: plan two applications of two, deploy one of two."""
    tool = f"{workflow_runner.TOOL_REPOSITORY}@{workflow_runner.TOOL_COMMIT}"
    projects = {name: text for name, text in FILES.items() if name.endswith("project.yaml") or text is None}
    shop.write(projects)
    assert main(["init", "--matrix", "--force", "--tool", tool, str(shop.folder)]) == ExitCode.OK
    shop.commit("Two applications")
    names = ("shop", "blog")
    number = shop.open_pull_request({f"apps/{name}/manifests/files.yaml": bucket_manifest(name) for name in names})

    planned = shop.run_plan(number)

    (comment,) = shop.hub.list_comments(number)
    assert planned.code == 0, planned.log
    assert comment["body"].startswith(f"{gathered_comment.MARKER}\n### Plans of 2 environments\n")
    for name in names:
        own = gathered_comment.find_section(comment["body"], comment_marker(f"apps/{name}/manifests", "prod"))
        assert f"s3_bucket.{name}" in own
        assert reviewed_plan.parse_marker(own) is not None
    assert {status["context"] for status in shop.hub.statuses} == {f"orchestrator/apps/{name}/prod" for name in names}

    change_blog_since_deploy(shop)
    deployed = shop.run_deploy(environment=WORKFLOW)
    assert deployed.code == 0, deployed.log
    assert shop.list_buckets() == {"blog-releases", "shop-posts"}
    roll_back_and_check(shop)


def roll_back_and_check(shop: ShopRepository) -> None:
    """The other workflows work on the one environment that is chosen, and on every one by the clock."""
    inputs = {"application": "apps/blog/manifests", "environment": "prod", "plan-only": "true"}
    planned = shop.run_dispatched("rollback.yml", inputs)
    assert "no release to roll back to" in planned.log, planned.log
    unclear = shop.run_dispatched("drift.yml", {"application": "all", "answer": "accept"})
    assert "-f application=apps/shop/manifests -f environment=prod" in unclear.log, unclear.log

    checked = shop.run_scheduled("drift.yml", vars={"ORCHESTRATOR_PLAN_ROLE": "arn"})
    assert checked.code == 0, checked.log
    assert checked.log.count("Run Main Check for drift") == 2, checked.log


WORKFLOW = {"GITHUB_WORKFLOW_REF": "shop/shop/.github/workflows/deploy.yml@refs/heads/main"}


def change_blog_since_deploy(shop: ShopRepository) -> None:
    """The newest commit changes the blog, and a run has deployed the commit before it."""
    shop.write({"apps/blog/manifests/files.yaml": bucket_manifest("posts")})
    shop.commit("Change the blog only")
    run = {"path": ".github/workflows/deploy.yml", "event": "push", "head_branch": "main", "conclusion": "success"}
    times = {"created_at": "2026-11-24T09:00:00Z", "updated_at": "2026-11-24T09:10:00Z"}
    shop.hub.workflow_runs.append({**run, **times, "head_sha": shop.git("rev-parse", "HEAD^")})


def test_the_matrix_of_a_deploy(shop: ShopRepository) -> None:
    """Its entries say which roles `bootstrap github` has made; without a deploy to compare with, all are in it."""
    shop.write({name: text for name, text in FILES.items() if name.endswith("project.yaml") or text is None})
    shop.commit("Two applications")
    change_blog_since_deploy(shop)
    outputs = shop.folder.parent / "outputs"
    variables = json.dumps({"ORCHESTRATOR_PLAN_ROLE": "arn"})

    def list_targets(**environ: str) -> list[dict[str, str]]:
        outputs.unlink(missing_ok=True)
        environ |= {"GITHUB_OUTPUT": str(outputs), "ORCHESTRATOR_VARIABLES": variables}
        shop.run_tool(shop.folder, "changed", **environ).check_returncode()
        targets: list[dict[str, str]] = json.loads(read_output(outputs, "targets"))
        return targets

    (blog,) = list_targets(**WORKFLOW)
    assert (blog["manifests"], blog["environment"]) == ("apps/blog/manifests", "prod")
    assert blog["deploy-role"] == workflow_roles.role_arn(
        Scope("blog", "prod", "123456789012", "eu-west-1"), workflow_roles.DEPLOY_ROLE
    )
    assert [target["manifests"] for target in list_targets()] == ["apps/blog/manifests", "apps/shop/manifests"]


@pytest.mark.parametrize(
    ("arguments", "listed"),
    [
        (("--list", "all"), ["blog/prod", "shop/prod", "shop/staging"]),
        (("--list", "promoting"), ["shop/prod"]),
        (("--only", "staging"), ["shop/staging"]),
        (("--application", "apps/shop/manifests"), ["shop/prod", "shop/staging"]),
        (("--application", "apps/shop/manifests/", "--only", "prod", "--single"), ["shop/prod"]),
    ],
)
def test_environments_are_chosen(
    repository: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], listed: list[str]
) -> None:
    exit_code, outputs = run_changed(repository, monkeypatch, *arguments)

    targets = json.loads(read_output(outputs, "targets"))
    assert exit_code == ExitCode.OK
    assert [f"{item['manifests'].split('/')[1]}/{item['environment']}" for item in targets] == listed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--only", "stagign"), "no manifests in the repository declare the environment stagign"),
        (("--application", "apps/other"), "no manifests in apps/other declare an environment"),
        (("--only", "prod", "--single"), "this workflow works on one environment, and 2 environments match"),
        (("--list", "all", "--single"), "this workflow works on one environment, and 3 environments match"),
        (("--application", "../x; echo"), "invalid application"),
    ],
)
def test_a_choice_of_none_or_several_is_refused(
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    """A misspelt environment is no green run of nothing; the message has the inputs to type."""
    exit_code, outputs = run_changed(repository, monkeypatch, *arguments)

    printed = capsys.readouterr().err
    assert (exit_code, message in printed) == (ExitCode.FAILED, True), printed
    assert ("-f application=apps/blog/manifests -f environment=prod" in printed) == ("invalid" not in message)
    assert not outputs.exists()


def run_changed(repository: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, Path]:
    """The exit code, and the file of the outputs."""
    (repository / "apps/shop/manifests/environments/prod.yaml").write_text(PROMOTION)
    monkeypatch.setenv("GITHUB_REPOSITORY", "shop/shop")
    outputs = repository / "outputs"
    monkeypatch.setenv("GITHUB_OUTPUT", str(outputs))
    monkeypatch.chdir(repository)
    return main(["github", "changed", *arguments]), outputs


def test_the_workflows_say_what_they_call(tmp_path: Path) -> None:
    tool = f"team/tool@{'a' * 40}"
    assert main(["init", "--matrix", "--tool", tool, "--branch", "trunk", str(tmp_path)]) == ExitCode.OK

    written = {path.name: yaml.safe_load(path.read_text()) for path in (tmp_path / ".github/workflows").iterdir()}
    assert set(written) == {"plan.yml", "deploy.yml", "drift.yml", "rollback.yml"}
    assert written["deploy.yml"][True]["push"] == {"branches": ["trunk"]}
    calls = {name: [job["uses"] for job in content["jobs"].values()] for name, content in written.items()}
    prefix, commit = "team/tool/.github/workflows", "a" * 40
    assert calls == {
        "plan.yml": [f"{prefix}/{name}.yml@{commit}" for name in ("changed", "plan", "gather")],
        **{
            f"{name}.yml": [f"{prefix}/{name}.yml@{commit}" for name in ("changed", name)]
            for name in ("deploy", "drift", "rollback")
        },
    }


def test_applications_are_choices(repository: Path) -> None:
    """Each workflow of the matrix passes only inputs that the one it calls declares, and everything a person types."""
    (repository / "apps/shop/manifests/environments/prod.yaml").write_text(PROMOTION)
    tool = f"team/tool@{'a' * 40}"
    assert main(["init", "--matrix", "--tool", tool, "--branch", "trunk", str(repository)]) == ExitCode.OK

    folder, called = repository / ".github/workflows", Path(__file__).parents[2] / ".github/workflows"
    names = {"deploy", "drift", "rollback", "promote"}
    assert {path.stem for path in folder.iterdir()} == {*names, "plan"}
    folders = ["apps/blog/manifests", "apps/shop/manifests"]
    for name in names:
        written = yaml.safe_load((folder / f"{name}.yml").read_text())
        inputs = written[True]["workflow_dispatch"]["inputs"]
        assert inputs["application"]["options"] == (["all", *folders] if name in {"deploy", "drift"} else folders)
        for job, call in written["jobs"].items():
            declared = yaml.safe_load((called / f"{job}.yml").read_text())[True]["workflow_call"]["inputs"]
            assert set(call["with"]) <= set(declared)
        passed = json.dumps([call["with"] for call in written["jobs"].values()])
        assert [typed for typed in inputs if f"inputs.{typed}" not in passed] == []
