"""The quick names of events against botocore's own."""

from __future__ import annotations

import pytest
from botocore.hooks import EventAliaser, HierarchicalEmitter
from botocore.utils import EVENT_ALIASES

from orchestrator.aws.botocore_hooks import FastEventAliaser

STAGES = ("before-parameter-build.{}.PutObject", "provide-client-params.{}", "{}", "a.{}.b.{}")


@pytest.mark.parametrize("stage", STAGES)
def test_an_event_is_heard_under_the_name_botocore_gives_it(stage: str) -> None:
    """Whatever the service: of old names, of new ones, of names that only look like old ones."""
    services = [*EVENT_ALIASES, *EVENT_ALIASES.values(), "s3", "ec2", "data.iothing", "xlogs", "logs.x", ""]
    assert len(services) > 20
    for name in (stage.format(service, service) for service in services):
        heard: list[str] = []
        emitter = HierarchicalEmitter()
        EventAliaser(emitter).register(name, lambda event_name, heard=heard, **_: heard.append(event_name))
        FastEventAliaser(emitter).emit(name)
        assert len(heard) == 1, name
