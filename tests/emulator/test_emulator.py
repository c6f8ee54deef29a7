"""The emulator as a whole: calls are counted, it is controlled over HTTP, paused, forked, and kept apart."""

from __future__ import annotations

import json
import os
import re
import signal
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from orchestrator.emulator import Emulator, Faults, serve, start
from tests.emulator.account import Account, Clients, error_code, make_client, wait_until


def control(emulator: Emulator, method: str, name: str, body: Any = None) -> Any:
    request = urllib.request.Request(
        f"{emulator.url}/_orchestrator/{name}", method=method, data=None if body is None else json.dumps(body).encode()
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)


class TestCalls:
    def test_every_call_is_recorded(self, emulator: Emulator, aws: Clients) -> None:
        """In order, with what it was and how it ended."""
        aws("s3").list_buckets()
        error_code(aws("rds").describe_db_instances, DBInstanceIdentifier="none")
        aws("logs").create_log_group(logGroupName="/app")

        calls = emulator.calls
        assert [(call.n, call.name, call.access, call.status, call.error) for call in calls] == [
            (1, "s3:ListBuckets", "read", 200, ""),
            (2, "rds:DescribeDBInstances", "read", 404, "DBInstanceNotFound"),
            (3, "logs:CreateLogGroup", "write", 200, ""),
        ]
        assert all(call.ended is not None and call.ended >= call.started for call in calls)
        emulator.clear_calls()
        assert emulator.calls == []

    def test_an_emulated_service_counts_once(self, emulator: Emulator, account: Account) -> None:
        """What the emulator asks of its own backend is nobody's call."""
        account.create_service()

        names = {call.name for call in emulator.calls}
        assert names == {"iam:CreateRole", "apprunner:CreateService", "apprunner:DescribeService"}

    def test_secret_reads_are_marked(self, emulator: Emulator, aws: Clients) -> None:
        """GetSecretValue and the registry's token."""
        error_code(aws("secretsmanager").get_secret_value, SecretId="none")
        error_code(aws("secretsmanager").describe_secret, SecretId="none")
        aws("ecr").get_authorization_token()

        assert [call.operation for call in emulator.calls if call.reads_secret] == [
            "GetSecretValue",
            "GetAuthorizationToken",
        ]

    def test_calls_side_by_side(self, emulator: Emulator, aws: Clients) -> None:
        """Calls in flight at once overlap in the record."""
        emulator.faults = Faults(latency_ms=500)  # longer than four threads need to start on a busy machine
        client = aws("sts")

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: client.get_caller_identity(), range(4)))

        calls = emulator.calls
        assert len(calls) == 4
        assert max(call.started for call in calls) < min(call.ended or 0 for call in calls)


class TestControl:
    def test_health_and_calls(self, emulator: Emulator, aws: Clients) -> None:
        """Readable by anything that speaks HTTP; not calls themselves."""
        aws("sts").get_caller_identity()

        assert control(emulator, "GET", "health") == {"status": "ok", "backend": emulator.backend}
        assert [call["operation"] for call in control(emulator, "GET", "calls")["calls"]] == ["GetCallerIdentity"]
        control(emulator, "DELETE", "calls")
        assert emulator.calls == []

    def test_faults_crash_and_reset(self, emulator: Emulator, aws: Clients) -> None:
        """Everything Python can do."""
        control(emulator, "PUT", "faults", {"deny_writes": True})
        assert error_code(aws("logs").create_log_group, logGroupName="/app") == "AccessDeniedException"
        assert control(emulator, "GET", "faults")["deny_writes"] is True
        control(emulator, "PUT", "faults", {})
        control(emulator, "POST", "crash", {"n": 1, "when": "after"})
        with pytest.raises(Exception, match="Connection"):
            aws("logs").create_log_group(logGroupName="/app")
        control(emulator, "POST", "revive")
        assert len(aws("logs").describe_log_groups()["logGroups"]) == 1
        control(emulator, "POST", "reset")
        assert aws("logs").describe_log_groups()["logGroups"] == []

    @pytest.mark.parametrize(("name", "body"), [("faults", {"none": 1}), ("nothing", {}), ("crash", {"n": 0})])
    def test_mistakes_are_answered(self, moto: Emulator, name: str, body: dict[str, Any]) -> None:
        """400 for what is wrong, 404 for what is not there."""
        method = "POST" if name == "crash" else "PUT"

        with pytest.raises(urllib.error.HTTPError) as raised:
            control(moto, method, name, body)
        assert raised.value.code == (404 if name == "nothing" else 400)
        raised.value.close()


class TestLife:
    def test_its_environment_is_all_a_client_needs(self, moto: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
        """Endpoint, keys and region come from it."""
        for name, value in moto.environment.items():
            monkeypatch.setenv(name, value)

        client = boto3.session.Session().client("sts")

        assert client.get_caller_identity()["Account"] == "123456789012"
        client.close()

    def test_paused_it_is_gone_and_resumed_it_is_back(self) -> None:
        """On a new port, with its state."""
        with start() as emulator:
            before = make_client(emulator, "logs")
            before.create_log_group(logGroupName="/app")
            emulator.pause()
            with pytest.raises(EndpointConnectionError):
                before.describe_log_groups()
            emulator.resume()
            after = make_client(emulator, "logs")
            assert len(after.describe_log_groups()["logGroups"]) == 1
            before.close()
            after.close()

    def test_a_fork_goes_on_by_itself(self) -> None:
        """Parent and child each have the state of the fork, and go on apart."""
        with start(settle_seconds=0) as emulator:
            client = make_client(emulator, "apprunner")
            client.create_auto_scaling_configuration(AutoScalingConfigurationName="parent")
            client.close()
            emulator.pause()
            child = os.fork()
            if child == 0:
                os._exit(_in_child(emulator))
            _, status = os.waitpid(child, 0)
            emulator.resume()
            client = make_client(emulator, "apprunner")
            found = client.list_auto_scaling_configurations()["AutoScalingConfigurationSummaryList"]
            client.close()

        assert os.waitstatus_to_exitcode(status) == 0
        assert {each["AutoScalingConfigurationName"] for each in found} == {"DefaultConfiguration", "parent"}

    def test_two_emulators_share_nothing(self, moto: Emulator) -> None:
        """Not even moto's globals."""
        with start(account="210987654321", region="eu-central-1") as other:
            mine, theirs = make_client(moto, "s3"), make_client(other, "s3")
            mine.create_bucket(Bucket="mine-prod", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
            assert theirs.list_buckets()["Buckets"] == []
            theirs.create_bucket(Bucket="mine-prod", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
            identity = make_client(other, "sts")
            assert identity.get_caller_identity()["Account"] == "210987654321"
            other.reset()
            assert [each["Name"] for each in mine.list_buckets()["Buckets"]] == ["mine-prod"]
            for client in (mine, theirs, identity):
                client.close()

    def test_in_the_foreground_it_serves_until_told_to_end(self, tmp_path: Path) -> None:
        """With the faults of a file, and SIGTERM is an orderly end."""
        faults, address = tmp_path / "faults.yaml", tmp_path / "address"
        faults.write_text("deny_writes: true")
        child = os.fork()
        if child == 0:
            serve(lambda emulator: _tell(address, emulator.url), port=0, faults_file=faults)
            os._exit(0)
        url = wait_until(lambda: address.read_text() if address.exists() else "", bool)
        with urllib.request.urlopen(f"{url}/_orchestrator/faults", timeout=5) as answer:
            assert json.load(answer)["deny_writes"] is True
        os.kill(child, signal.SIGTERM)

        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    def test_an_unknown_backend_is_refused(self) -> None:
        """There are two."""
        with pytest.raises(ValueError, match="unknown backend"):
            start(backend="localstack")  # type: ignore[arg-type]

    def test_a_taken_port_is_refused(self, moto: Emulator) -> None:
        """And nothing is left running."""
        with pytest.raises(OSError, match="in use"):
            start(port=int(moto.url.rpartition(":")[2]))


def _tell(address: Path, url: str) -> None:
    """Leave word where it listens, whole or not at all."""
    address.with_suffix(".new").write_text(url)
    address.with_suffix(".new").rename(address)


def _in_child(emulator: Emulator) -> int:
    """Go on in a forked process; 0 when all is as it should be."""
    emulator.resume()
    client = make_client(emulator, "apprunner")
    client.create_auto_scaling_configuration(AutoScalingConfigurationName="child")
    found = client.list_auto_scaling_configurations()["AutoScalingConfigurationSummaryList"]
    names = {each["AutoScalingConfigurationName"] for each in found}
    return 0 if names == {"DefaultConfiguration", "parent", "child"} else 1


class TestHttp:
    def test_a_large_object_comes_through(self, aws: Clients) -> None:
        """Bodies are passed on whole, both ways."""
        body = os.urandom(3_000_000)
        client = aws("s3")
        client.create_bucket(Bucket="files-prod", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        client.put_object(Bucket="files-prod", Key="ml-models/model.onnx", Body=body)

        assert client.get_object(Bucket="files-prod", Key="ml-models/model.onnx")["Body"].read() == body
        assert client.head_object(Bucket="files-prod", Key="ml-models/model.onnx")["ContentLength"] == len(body)

    def test_a_presigned_url_works(self, emulator: Emulator, aws: Clients) -> None:
        """The service is read from the query."""
        client = aws("s3")
        client.create_bucket(Bucket="files-prod", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        client.put_object(Bucket="files-prod", Key="a", Body=b"hello")
        url = client.generate_presigned_url("get_object", Params={"Bucket": "files-prod", "Key": "a"})

        with urllib.request.urlopen(url, timeout=5) as answer:
            assert answer.read() == b"hello"
        assert emulator.calls[-1].name == "s3:GetObject"

    def test_a_stranger_is_answered(self, moto: Emulator) -> None:
        """A host that is no distribution's is refused as CloudFront refuses it."""
        request = urllib.request.Request(moto.url, headers={"Host": "d1.cloudfront.net"})
        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(request, timeout=5)
        assert raised.value.code == 403
        raised.value.close()

    def test_what_no_backend_has_is_an_error_in_the_services_words(self, emulator: Emulator, aws: Clients) -> None:
        """Not a dead connection."""
        with pytest.raises(ClientError, match=re.compile("not emulated")):
            aws("apprunner").associate_custom_domain(
                ServiceArn="arn:aws:apprunner:eu-west-1:123456789012:service/x/y", DomainName="a.example"
            )
