"""``migrate.runs: in-vpc``: a Fargate task of the same image, once for a build whatever stops the run.

The task runs as a process of the emulator.  What ECS does with client tokens, stopped tasks and their exit codes is
from its API reference ("Ensuring idempotency", DescribeTasks) and "Stopped tasks error codes" in its developer guide.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.artefacts import Artefacts, Image
from orchestrator.aws import Clients
from orchestrator.demo import image_assembly
from orchestrator.emulator import Emulator, Faults, container_runtime, start
from orchestrator.manifest import expand
from orchestrator.planning import pipeline
from orchestrator.planning.apply import InterruptedApplyError
from orchestrator.planning.events import Event, OutputLine, ignore_event
from orchestrator.planning.plan import PreparedPlan
from orchestrator.problems import Problems
from orchestrator.values import Ref
from orchestrator.vocabulary import Actuation, Outcome
from tests import performed_calls
from tests.components import manifest_stacks
from tests.components.test_containerservice_image import RELEASES
from tests.proofs.real_stack import aws_environment

pytestmark = [pytest.mark.xdist_group("emulator-moto"), pytest.mark.timeout(120)]
API = "containerservice.api"
SCRIPT = """
echo "migrating $ORCHESTRATOR_RELEASE $MODE $Jwt__Key $*"
case $MODE in
  slow) /bin/sleep 0.7 ;;
  endless) /bin/sleep 100 ;;
  broken) echo "error: relation orders already exists"; exit 3 ;;
esac
echo migrated
"""
SETTINGS = {"Entrypoint": ["/bin/sh", "/app/serve.sh"], "WorkingDir": "/app"}


class Killed(BaseException):
    """The run is killed at this moment."""


class FailingClients:
    """Clients with one replaced operation."""

    def __init__(self, clients: Clients, operation: str, respond: Callable[[Callable[[], Any], Any], Any]) -> None:
        self._clients, self._operation, self._respond = clients, operation, respond

    def __getattr__(self, name: str) -> Any:
        return getattr(self._clients, name)

    def call(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> Any:
        def send() -> Any:
            return self._clients.call(service, operation, parameters, region)

        return self._respond(send, parameters) if operation == self._operation else send()

    def pages(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> Any:
        def send() -> Any:
            return self._clients.pages(service, operation, parameters, region)

        return self._respond(send, parameters) if operation == self._operation else send()


class Shop:
    """A checkout whose migration runs in the VPC."""

    def __init__(self, folder: Path, aws: Emulator, image: image_assembly.OciImage) -> None:
        self.folder, self.aws = folder, aws
        self.clients = Clients("eu-west-1", attempts=1)
        (folder / "Dockerfile").write_text("FROM scratch\n")
        self.write("well")
        planned = pipeline.plan(
            pipeline.load_desired(folder, "prod"), targets=("ecr_repository.api",), clients=self.clients
        )
        performed_calls.apply(planned, ignore_event, clients=self.clients)
        token = self.clients.call("ecr", "get_authorization_token", {})
        self.digest = image_assembly.push_image(token, "shop-api", "tag1", image)
        self.lines: list[str] = []

    def write(self, mode: str, within: int = 60) -> None:
        command = ["/bin/sh", "/app/migrate.sh", "--all"]
        spec = {
            "runtime": "ecs-express",
            "image": {"repository": "shop-api", "build": {"context": "."}},
            "environment": {"MODE": mode},
            "health": {"path": "/health"},
            "secrets": ["secret.app"],
            "migrate": {"command": command, "runs": "in-vpc", "withinSeconds": within},
        }
        documents = [
            RELEASES,
            manifest_stacks.make_document("ContainerService", "api", json.dumps(spec)),
            manifest_stacks.make_document("Bucket", "releases", "{name: shop-releases, versioning: true}"),
            manifest_stacks.make_document("Secret", "app", "data: {'Jwt:Key': {generate: {length: 32}}}"),
        ]
        (self.folder / "stack.yaml").write_text("---\n".join(documents))

    def plan(self, clients: Any = None) -> PreparedPlan:
        shipped = Artefacts(images={API: Image("tag1", digest=self.digest)})
        desired = expand.expand(pipeline.validate(self.folder, "prod"), shipped)
        return pipeline.plan(desired, targets=("migration.api",), clients=clients or self.clients)

    def migrate(self, clients: Any = None) -> Outcome:
        self.lines.clear()

        def collect(event: Event) -> None:
            if isinstance(event, OutputLine):
                self.lines.append(event.line)

        outcomes = performed_calls.apply(self.plan(), collect, clients=clients or self.clients)
        return next(outcome for outcome in outcomes if outcome.address == "migration.api")

    def tasks(self) -> list[dict[str, Any]]:
        """Every task that was ever started, newest last."""
        arns = [
            arn
            for status in ("RUNNING", "STOPPED")
            for arn in self.clients.call("ecs", "list_tasks", {"cluster": "default", "desiredStatus": status})[
                "taskArns"
            ]
        ]
        described = {"cluster": "default", "tasks": arns, "include": ["TAGS"]}
        tasks: list[dict[str, Any]] = self.clients.call("ecs", "describe_tasks", described)["tasks"] if arns else []
        return sorted(tasks, key=lambda task: str(task["createdAt"]))

    def has_mark(self) -> bool:
        listing = {"Bucket": "shop-releases", "Prefix": "migrations/prod/api/tag1"}
        return "Contents" in self.clients.call("s3", "list_objects_v2", listing)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> image_assembly.OciImage:
    """The service's image; its entry point is not what a migration runs."""
    if why := container_runtime.check_isolation():
        pytest.skip(f"needs processes with files of their own: {why}")
    folder = tmp_path_factory.mktemp("image")
    for program in ("/bin/sh", "/bin/sleep"):
        listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        for name in (program, *re.findall(r"(/\S+) \(0x", listed)):
            (folder / name[1:]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(name, folder / name[1:])
    (folder / "app").mkdir()
    (folder / "app" / "migrate.sh").write_text(SCRIPT)
    return image_assembly.build_image([image_assembly.build_layer(folder)], SETTINGS)


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with start(settle_seconds=0, run_services=True) as running:
        yield running


@pytest.fixture
def shop(tmp_path: Path, emulator: Emulator, image: image_assembly.OciImage) -> Iterator[Shop]:
    emulator.reset()
    with aws_environment(emulator):
        yield Shop(tmp_path, emulator, image)


def test_it_runs_once_in_the_network_of_the_service(shop: Shop) -> None:
    """With its secrets, variables, group and roles; line by line, without values; nothing of it stays but its log."""
    outcome = shop.migrate()

    assert outcome.actuation is Actuation.SUCCEEDED, outcome.reason
    assert "$ /bin/sh /app/migrate.sh --all" in shop.lines
    assert "migrating tag1 well *** --all" in shop.lines
    assert shop.lines[-1] == "migrated"
    [task] = shop.tasks()
    assert task["startedBy"] == "shop/prod/api/tag1"
    assert {"key": "orchestrator:component", "value": API} in task["tags"]
    [group] = shop.clients.call("ec2", "describe_security_groups", {"GroupNames": ["shop-prod-api"]})["SecurityGroups"]
    [started] = [call for call in shop.aws.calls if call.operation == "RunTask"]
    assert started.executed
    assert group["IpPermissions"] == [], "nothing can connect to it"
    definitions = shop.clients.call("ecs", "list_task_definitions", {"familyPrefix": "shop-prod-api-migration"})
    assert definitions["taskDefinitionArns"] == []
    assert shop.has_mark()
    assert not shop.plan().plan.pending_changes, "it ran for this build"


def test_a_failure_is_shown_recorded_nowhere_and_repeated(shop: Shop) -> None:
    """With the exit code, the first error, the last lines and where the log is; the next deploy starts another task."""
    shop.write("broken")
    outcome = shop.migrate()

    assert outcome.actuation is Actuation.FAILED
    for text in (
        "exited with status 3",
        "first error (line 2): error: relation orders already exists",
        "CloudWatch Logs /ecs/shop-prod-api, stream migration/migration/",
        "the new build was not deployed",
    ):
        assert text in outcome.reason
    assert not shop.has_mark()

    shop.write("well")
    assert shop.migrate().actuation is Actuation.SUCCEEDED
    assert [task["containers"][0]["exitCode"] for task in shop.tasks()] == [3, 0]


def killed(*_: object) -> Any:
    raise Killed


def killed_after(send: Callable[[], Any], _: object) -> Any:
    send()
    raise Killed


MOMENTS: dict[str, tuple[str, Callable[[Callable[[], Any], Any], Any]]] = {
    "before the task is started": ("run_task", killed),
    "as soon as it is started": ("run_task", killed_after),
    "while it runs": ("get_log_events", killed),
    "before it is recorded": ("put_object", killed),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_that_is_killed_is_continued_by_the_next(shop: Shop, moment: str) -> None:
    """The next run waits for the task that runs, and records the one that ended well: one task in all."""
    shop.write("slow")
    with pytest.raises(Killed):
        shop.migrate(FailingClients(shop.clients, *MOMENTS[moment]))
    assert not shop.has_mark()

    outcome = shop.migrate()

    assert outcome.actuation is Actuation.SUCCEEDED, outcome.reason
    assert shop.lines[-1] == "migrated", "the whole log is shown again"
    assert len(shop.tasks()) == 1
    assert shop.has_mark()


def test_a_task_that_lists_do_not_show_yet_is_not_started_twice(shop: Shop) -> None:
    """ECS's reads are eventually consistent (RunTask): the client token is then in use, with another revision."""
    shop.write("slow")
    with pytest.raises(Killed):
        shop.migrate(FailingClients(shop.clients, "run_task", killed_after))
    [waiting] = shop.plan().plan.pending_changes
    assert waiting.effects == (
        "A task of this migration already exists in AWS; the run waits for it and does not start another.",
    )
    hidden = FailingClients(shop.clients, "list_tasks", _hiding(2))

    outcomes = {item.address: item for item in performed_calls.apply(shop.plan(hidden), clients=shop.clients)}

    assert outcomes["migration.api"].actuation is Actuation.SUCCEEDED, outcomes["migration.api"].reason
    assert "ConflictException" in {call.error for call in shop.aws.calls if call.operation == "RunTask"}
    assert len(shop.tasks()) == 1


def _hiding(count: int) -> Callable[[Callable[[], Any], Any], Any]:
    """Answer the first lists as if there were nothing."""
    remaining: list[Any] = [[{"taskArns": []}]] * count
    return lambda send, _: remaining.pop() if remaining else send()


def test_a_task_that_takes_too_long_is_stopped(shop: Shop) -> None:
    shop.write("endless", within=1)
    outcome = shop.migrate()

    assert outcome.actuation is Actuation.FAILED
    assert "still RUNNING after 1s and was stopped" in outcome.reason
    assert "withinSeconds" in outcome.reason
    [task] = shop.tasks()
    assert (task["lastStatus"], task["stopCode"]) == ("STOPPED", "UserInitiated")
    assert not shop.has_mark()


def test_ctrl_c_ends_the_run_and_not_the_task(shop: Shop) -> None:
    """It is acknowledged at once; the task goes on in AWS, and the next run waits for it."""
    shop.write("slow")
    begun = threading.Event()

    def collect(event: Event) -> None:
        if isinstance(event, OutputLine) and event.line.startswith("migrating"):
            begun.set()

    def interrupt() -> None:
        begun.wait(30)
        os.kill(os.getpid(), signal.SIGINT)

    planned = shop.plan()
    threading.Thread(target=interrupt).start()
    with pytest.raises(InterruptedApplyError) as stopped:
        performed_calls.apply(planned, collect, clients=shop.clients)
    [outcome] = [item for item in stopped.value.outcomes if item.address == "migration.api"]
    assert outcome.reason.startswith("the run was stopped while waiting for AWS, which continues")
    assert not shop.has_mark()

    assert shop.migrate().actuation is Actuation.SUCCEEDED
    assert len(shop.tasks()) == 1


def test_what_keeps_the_command_from_running_is_said(shop: Shop) -> None:
    """An image that cannot be pulled: ECS stops the task before its container runs, without an exit code."""
    shop.aws.faults = Faults(require_images=True, failing_images=("*shop-api*",))
    outcome = shop.migrate()
    shop.aws.faults = Faults()

    assert outcome.actuation is Actuation.FAILED
    assert "the migration command did not run: CannotPullContainerError" in outcome.reason
    assert not shop.has_mark()


def test_app_runner_needs_a_network_and_a_task_no_folder(tmp_path: Path) -> None:
    """Both are said at once, where they are; with a database, the task has the roles and the network that it needs."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    migrate = {"command": ["migrate"], "runs": "in-vpc", "folder": "api", "secrets": ["secret.owner"]}
    spec: dict[str, Any] = {"image": {"repository": "shop-api", "build": {"context": "."}}, "migrate": migrate}
    documents = [
        manifest_stacks.make_document("Bucket", "releases", "{name: shop-releases}"),
        manifest_stacks.make_document("Database", "main", "{database: shop, username: shop, version: '16'}"),
        manifest_stacks.make_document("Secret", "owner", "data: {Password: {generate: {length: 32}}}"),
    ]

    def load() -> dict[str, Any]:
        service = manifest_stacks.make_document("ContainerService", "api", json.dumps(spec))
        (tmp_path / "stack.yaml").write_text("---\n".join([RELEASES, service, *documents]))
        return {resource.address: resource for resource in pipeline.load_desired(tmp_path, "prod").resources}

    with pytest.raises(Problems) as refused:
        load()
    assert [problem.message.split(" ")[0] for problem in refused.value.problems] == [
        "spec.migrate.runs",
        "spec.migrate.folder",
    ]

    spec["access"], migrate["folder"] = ["database.main"], "."
    resources = load()
    migration = resources["migration.api"]
    task = migration.spec["how"]["task"]
    execution = resources["iam_role.api-execution"].spec["policy"]["Statement"]
    assert [statement["Action"][-1] for statement in execution] == ["secretsmanager:GetSecretValue"]
    assert [str(task[key]) for key in ("execution_role", "task_role")] == [
        str(Ref(f"iam_role.api-{name}", "arn")) for name in ("execution", "task")
    ]
    assert task["public_subnets"] == Ref("ec2_vpc.network", "public_subnets")
    assert {"rds_instance.main", "s3_bucket.releases"} <= migration.depends_on
    assert list(task["secrets"]) == ["Password"]
