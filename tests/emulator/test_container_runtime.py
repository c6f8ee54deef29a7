"""The emulator runs what App Runner and ECS are told to run: processes with a health check; none is left behind."""

from __future__ import annotations

import io
import json
import os
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from botocore.exceptions import ClientError

from orchestrator.demo import image_assembly, python_runtime
from orchestrator.emulator import Emulator, Faults, start
from tests.emulator.account import Account, Client, image_source, make_client, wait_until

pytestmark = [
    pytest.mark.xdist_group("emulator-moto"),
    pytest.mark.skipif(sys.platform != "linux", reason="the runtime is Linux's"),
    pytest.mark.usefixtures("nothing_left"),
]
REPOSITORY = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop-api"
APP = """
import http.server, json, os, sys, time
MODE, PORT = os.environ.get("MODE", "well"), os.environ.get("PORT_OF", "PORT")
print("the till says", MODE)
if MODE == "short-lived":
    sys.exit(3)
if MODE == "slow":
    time.sleep(1)

class App(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/die":
            os._exit(9)
        self.send_response(500 if self.path == "/health" and MODE == "unwell" else 200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        told = {"mode": MODE, "env": dict(os.environ), "headers": self.headers.items(), "pid": os.getpid(),
                "user": os.getuid(), "root": sorted(os.listdir("/"))}
        self.wfile.write(json.dumps(told).encode())

http.server.HTTPServer(("127.0.0.1", int(os.environ.get(PORT, PORT))), App).serve_forever()
"""
HEALTH = {"Protocol": "HTTP", "Path": "/health", "Interval": 20, "Timeout": 20, "UnhealthyThreshold": 1}
"""The first answer decides; there is much time for it."""
SETTINGS = {"Cmd": ["/bin/python3", "-I", "-u", "/app/app.py"], "User": "1000:1000", "Env": ["FROM_IMAGE=yes"]}


@dataclass
class World:
    """An emulator, its clients, and the image that its services run."""

    emulator: Emulator
    clients: dict[str, Client]
    good: image_assembly.OciImage
    roles: list[str] = field(default_factory=list)

    def push(self, image: image_assembly.OciImage, tag: str) -> str:
        """The reference of an image that was pushed."""
        token = self.clients["ecr"].get_authorization_token()
        return f"{REPOSITORY}@{image_assembly.push_image(token, 'shop-api', tag, image)}"

    def ask(self, host: str, path: str = "/", **headers: str) -> tuple[int, Any]:
        """One request; header names with ``_`` for ``-``."""
        connection = HTTPConnection("127.0.0.1", urlsplit(self.emulator.url).port or 0, timeout=20)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request("GET", path, headers={"Host": host, **named})
            answer = connection.getresponse()
            body = answer.read()
            return answer.status, json.loads(body) if body.startswith(b"{") else body.decode()
        finally:
            connection.close()


@dataclass
class Service:
    """One App Runner service."""

    world: World
    arn: str
    url: str

    @property
    def id(self) -> str:
        return self.arn.rpartition("/")[2]

    def settled(self) -> dict[str, Any]:
        """The service, once App Runner is done with it."""
        ask = self.world.clients["apprunner"].describe_service
        return dict(
            wait_until(
                lambda: ask(ServiceArn=self.arn)["Service"],
                lambda one: one["Status"] != "OPERATION_IN_PROGRESS",
                timeout_seconds=60,
            )
        )

    def update(self, image: str, health: dict[str, Any] = HEALTH, **configuration: Any) -> None:
        wanted = image_source(image, self.world.roles[0])
        wanted["ImageRepository"]["ImageConfiguration"] = configuration
        self.world.clients["apprunner"].update_service(
            ServiceArn=self.arn, SourceConfiguration=wanted, HealthCheckConfiguration=health
        )

    def ended(self) -> str:
        """How the last operation ended."""
        self.settled()
        listed = self.world.clients["apprunner"].list_operations(ServiceArn=self.arn)
        return str(listed["OperationSummaryList"][0]["Status"])

    def ask(self, path: str = "/", **headers: str) -> tuple[int, Any]:
        return self.world.ask(self.url, path, **headers)

    def logs(self, name: str, kind: str) -> str:
        """What a log group of it holds."""
        found = self.world.clients["logs"].filter_log_events(logGroupName=f"/aws/apprunner/{name}/{self.id}/{kind}")
        return "\n".join(event["message"] for event in found["events"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("image")
    python_runtime.copy_python(folder / "runtime")
    (folder / "app").mkdir()
    (folder / "app" / "app.py").write_text(APP)
    layers = [image_assembly.build_layer(folder / "runtime"), image_assembly.build_layer(folder / "app", "/app")]
    with start(settle_seconds=0, run_services=True) as emulator:
        names = ("apprunner", "ecr", "ecs", "iam", "logs", "secretsmanager")
        clients = {each: make_client(emulator, each) for each in names}
        yield World(emulator, clients, image_assembly.build_image(layers, SETTINGS))
        for each in clients.values():
            each.close()


@pytest.fixture
def image(world: World) -> str:
    """The good one, in an account that has what it takes to run it."""
    with suppress(ClientError):
        world.clients["ecr"].create_repository(repositoryName="shop-api")
        world.roles[:] = [Account(lambda service, region="": world.clients[service]).create_role("access", "build")]
    return world.push(world.good, "good")


def begin(world: World, name: str, image: str, health: dict[str, Any] = HEALTH, **configuration: Any) -> Service:
    """CreateService, without waiting for its end."""
    wanted = image_source(image, world.roles[0])
    wanted["ImageRepository"]["ImageConfiguration"] = configuration
    answer = world.clients["apprunner"].create_service(
        ServiceName=name, SourceConfiguration=wanted, HealthCheckConfiguration=health
    )["Service"]
    return Service(world, answer["ServiceArn"], answer["ServiceUrl"])


@pytest.fixture
def nothing_left(world: World) -> Iterator[None]:
    """Every service is deleted at the end; then no process and no folder of them is there."""
    yield
    for each in world.clients["apprunner"].list_services()["ServiceSummaryList"]:
        Service(world, each["ServiceArn"], "").settled()
        world.clients["apprunner"].delete_service(ServiceArn=each["ServiceArn"])
    with suppress(ClientError):  # there is no cluster before the first service
        for arn in world.clients["ecs"].list_services()["serviceArns"]:
            world.clients["ecs"].delete_express_gateway_service(serviceArn=arn)
    wait_until(lambda: (processes(), folders()), lambda left: left == ([], []), timeout_seconds=20)


def processes() -> list[str]:
    """What the emulator of this process runs."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            command = " ".join(child.cmdline())
            found += [command] * ("container_init.py" in command or "/app/app.py" in command)
    return found


def folders() -> list[str]:
    """The files of its services."""
    return [str(each) for each in Path(tempfile.gettempdir()).glob(f"orchestrator-service-{os.getpid()}-*")]


def test_a_service_is_what_its_settings_say(world: World, image: str) -> None:
    """Its files and user are the image's, its variables the image's, the service's and the secrets' of the account."""
    secret = world.clients["secretsmanager"].create_secret(Name="till", SecretString='{"A:B": "x", "Key": "s3cret"}')
    named = {"KEY": f"{secret['ARN']}:Key::", "ALL": secret["ARN"]}
    service = begin(world, "shop", image, RuntimeEnvironmentVariables={"MODE": "slow"}, RuntimeEnvironmentSecrets=named)
    assert service.ask()[0] == 404, "nothing answers before it is healthy"

    assert service.settled()["Status"] == "RUNNING"
    status, told = service.ask()
    assert (status, told["mode"], told["user"]) == (200, "slow", 1000)
    assert {key: told["env"].get(key) for key in ("KEY", "FROM_IMAGE", "AWS_ENDPOINT_URL")} == {
        "KEY": "s3cret",
        "FROM_IMAGE": "yes",
        "AWS_ENDPOINT_URL": world.emulator.url,
    }
    assert json.loads(told["env"]["ALL"])["Key"] == "s3cret"
    assert "app" in told["root"]
    assert "home" not in told["root"]
    assert not {"HOME", "PYTEST_CURRENT_TEST"} & told["env"].keys(), "nothing of this process's own"
    assert "s3cret" not in " ".join(processes())


def test_an_app_is_told_who_asks(world: World, image: str) -> None:
    """One X-Forwarded-For with what the client said first; nothing else that a client says of itself."""
    service = begin(world, "shop", image)
    service.settled()

    said = {
        "X_Forwarded_For": "6.6.6.6",
        "X_Forwarded_Proto": "http",
        "X_Forwarded_Host": "evil.example",
        "X_Mine": "1",
    }
    _, told = service.ask(**said)
    seen = [(key.lower(), value) for key, value in told["headers"]]
    assert [pair for pair in seen if pair[0].startswith("x-")] == [
        ("x-mine", "1"),
        ("x-forwarded-for", "6.6.6.6, 127.0.0.1"),
        ("x-forwarded-proto", "https"),
    ]
    assert [value for key, value in seen if key == "host"] == [service.url]


def test_the_old_one_answers_until_the_new_one_is_well(world: World, image: str) -> None:
    """A bad deployment is rolled back in silence, and says why in the logs only."""
    service = begin(world, "shop", image)
    service.settled()
    pid = service.ask()[1]["pid"]

    for mode, why in (
        ("unwell", "1 health check failed: GET /health returned 500 instead of 200"),
        ("short-lived", "the container exited with status 3"),
    ):
        service.update(image, RuntimeEnvironmentVariables={"MODE": mode})
        assert service.ask()[1]["pid"] == pid
        assert service.ended() == "ROLLBACK_SUCCEEDED"
        assert service.settled()["Status"] == "RUNNING"
        assert service.ask()[1]["pid"] == pid
        assert why in service.logs("shop", "service")
        assert f"the till says {mode}" in service.logs("shop", "application")

    service.update(image, RuntimeEnvironmentVariables={"MODE": "well"})
    assert service.ended() == "SUCCEEDED"
    assert service.ask()[1]["pid"] != pid
    wait_until(lambda: len(folders()), lambda count: count == 1)


def test_a_container_that_ends_is_started_again(world: World, image: str) -> None:
    """As App Runner does, even while a deployment is under way, which then wins."""
    service = begin(world, "shop", image)
    service.settled()
    pid = service.ask()[1]["pid"]
    assert service.ask("/die")[0] == 503
    wait_until(lambda: service.ask()[0], lambda status: status == 200, timeout_seconds=20)
    assert service.ask()[1]["pid"] != pid

    service.update(image, RuntimeEnvironmentVariables={"MODE": "slow"})
    assert service.ask("/die")[0] == 503
    assert service.ended() == "SUCCEEDED"
    assert service.ask()[1]["mode"] == "slow"
    wait_until(lambda: len(folders()), lambda count: count == 1, timeout_seconds=20)
    assert service.ask()[1]["mode"] == "slow"


@dataclass
class Express:
    """One Express service of ECS."""

    world: World
    arn: str

    def read(self) -> dict[str, Any]:
        return dict(self.world.clients["ecs"].describe_express_gateway_service(serviceArn=self.arn)["service"])

    def update(self, image: str, mode: str) -> None:
        self.world.clients["ecs"].update_express_gateway_service(
            serviceArn=self.arn, primaryContainer=container(image, mode)
        )

    def ended(self) -> str:
        """How the last deployment ended."""
        wait_until(self.read, lambda service: "currentDeployment" not in service, timeout_seconds=60)
        return self.statuses()[0]

    def statuses(self) -> list[str]:
        found = self.world.clients["ecs"].list_service_deployments(service=self.arn)["serviceDeployments"]
        return [each["status"] for each in found]

    def ask(self, path: str = "/") -> tuple[int, Any]:
        address = self.read()["activeConfigurations"][0]["ingressPaths"][0]["endpoint"]
        return self.world.ask(address.removeprefix("https://"), path)


def container(image: str, mode: str, **more: Any) -> dict[str, Any]:
    return {"image": image, "containerPort": 8080, "environment": [{"name": "MODE", "value": mode}], **more}


def test_ecs_runs_its_services_as_well(world: World, image: str) -> None:
    """With secrets and its own log group; what is not healthy never answers, and the events say why."""
    secret = world.clients["secretsmanager"].create_secret(Name="door", SecretString='{"Key": "s3cret"}')["ARN"]
    named = [{"name": "KEY", "valueFrom": f"{secret}:Key::"}]
    wanted = Account(lambda service, region="": world.clients[service]).express_request(
        "shop", healthCheckPath="/health"
    )
    wanted["primaryContainer"] = container(image, "well", secrets=named)
    ecs = world.clients["ecs"]
    service = Express(world, ecs.create_express_gateway_service(**wanted)["service"]["serviceArn"])
    assert service.ask()[0] == 404, "nothing answers before it is healthy"

    assert service.ended() == "SUCCESSFUL"
    status, told = service.ask()
    assert (status, told["mode"], told["env"]["KEY"], told["user"]) == (200, "well", "s3cret", 1000)
    logs = service.read()["activeConfigurations"][0]["primaryContainer"]["awsLogsConfiguration"]["logGroup"]
    (said, *_) = world.clients["logs"].filter_log_events(logGroupName=logs)["events"]
    assert (said["message"], said["logStreamName"].startswith("ecs/Main/")) == ("the till says well", True)

    service.update(image, "unwell")
    assert service.ended() == "ROLLBACK_SUCCESSFUL"
    assert service.ask()[1]["pid"] == told["pid"]
    events = ecs.describe_services(services=[service.arn])["services"][0]["events"]
    assert any("GET /health returned 500" in each["message"] for each in events)


def test_what_ecs_is_to_undo_runs_no_more(world: World, image: str) -> None:
    """A deployment that a newer one stops, and one that is turned back after it took over."""
    wanted = Account(lambda service, region="": world.clients[service]).express_request(
        "till", healthCheckPath="/health"
    )
    wanted["primaryContainer"] = container(image, "well")
    service = Express(world, world.clients["ecs"].create_express_gateway_service(**wanted)["service"]["serviceArn"])
    service.ended()
    service.update(image, "slow")
    service.update(image, "another")
    assert service.ended() == "SUCCESSFUL"
    assert service.statuses() == ["SUCCESSFUL", "STOPPED", "SUCCESSFUL"]
    assert service.ask()[1]["mode"] == "another"

    world.emulator.faults = Faults(settle_seconds={"ecs": 60})
    service.update(image, "new")
    wait_until(lambda: service.ask()[1]["mode"], lambda mode: mode == "new", timeout_seconds=20)
    world.clients["ecs"].stop_service_deployment(serviceDeploymentArn=service.read()["currentDeployment"])
    world.emulator.faults = Faults()
    assert service.ended() == "ROLLBACK_SUCCESSFUL"
    assert service.ask()[1]["mode"] == "another"
    wait_until(lambda: len(folders()), lambda count: count == 1, timeout_seconds=20)


def test_an_account_that_is_emptied_runs_nothing(world: World, image: str) -> None:
    """Neither what answers nor what is being started; nothing of it is there any more once it is empty."""
    service = begin(world, "shop", image)
    service.settled()
    assert len(processes()) == 2, "a guard and what it guards"
    service.update(image, RuntimeEnvironmentVariables={"MODE": "slow"})
    world.emulator.reset()
    assert (processes(), folders(), service.ask()[0]) == ([], [], 404)


@pytest.mark.parametrize(
    ("port_of", "more", "ends"),
    [
        ("ASPNETCORE_HTTP_PORTS", {"ASPNETCORE_HTTP_PORTS": "8080"}, "RUNNING"),
        ("0", {}, "CREATE_FAILED"),
    ],
)
def test_a_container_listens_where_it_is_told(
    world: World, image: str, port_of: str, more: dict[str, str], ends: str
) -> None:
    """By PORT, or as .NET is told; one that listens elsewhere is not healthy, and the reason names the port."""
    variables = {"PORT_OF": port_of, **more}
    health = {**HEALTH, "Protocol": "TCP", "Interval": 20 if ends == "RUNNING" else 1}
    service = begin(world, "shop", image, health, Port="8080", RuntimeEnvironmentVariables=variables)

    assert service.settled()["Status"] == ends
    assert ("listen" in service.logs("shop", "service")) == (ends == "CREATE_FAILED")


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ("layer", "cannot unpack a layer"),
        ("manifest", "the emulator cannot run the container (KeyError"),
        ("config", "the emulator cannot run the container"),
        ("command", "exited with status 127"),
        ("user", "the image has no user nobody-knows"),
        ("gone", "the registry returned 404"),
        ("secret", "cannot read "),
        ("key", "the secret has no key Absent"),
    ],
)
def test_what_cannot_be_run_is_a_failed_deployment_and_leaves_nothing(
    world: World, image: str, broken: str, why: str
) -> None:
    """Whatever is wrong with an image or a secret: there is an end, a reason, and no files."""
    found, secrets = world.push(SMALL, "small"), {}
    if broken in BROKEN:
        found = world.push(BROKEN[broken](SMALL), broken)
    elif broken == "gone":
        found = f"{REPOSITORY}@sha256:{'0' * 64}"
    else:
        made = world.clients["secretsmanager"].create_secret(Name=broken, SecretString="{}")["ARN"]
        secrets = {"KEY": f"{made}:Absent::" if broken == "key" else made.replace(":secret:", ":secret:no-")}
    service = begin(world, "shop", found, RuntimeEnvironmentSecrets=secrets)

    assert service.settled()["Status"] == "CREATE_FAILED"
    assert why in service.logs("shop", "service")
    assert folders() == []


EMPTY = io.BytesIO()
tarfile.open(fileobj=EMPTY, mode="w").close()
SMALL = image_assembly.build_image([EMPTY.getvalue()], SETTINGS)


def _manifest(good: image_assembly.OciImage, **changed: Any) -> image_assembly.OciImage:
    return replace(good, manifest=json.dumps({**json.loads(good.manifest), **changed}).encode())


BROKEN: dict[str, Callable[[image_assembly.OciImage], image_assembly.OciImage]] = {
    "layer": lambda good: image_assembly.build_image([b"this is no archive"], SETTINGS),
    "manifest": lambda good: _manifest(good, manifests=[{"platform": {"os": "linux"}}]),
    "config": lambda good: _manifest(good, config=json.loads(good.manifest)["layers"][0]),
    "command": lambda good: good,
    "user": lambda good: image_assembly.build_image([EMPTY.getvalue()], {**SETTINGS, "User": "nobody-knows"}),
}
