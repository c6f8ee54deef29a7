"""Build the actions of a lifecycle rule as S3 takes them.  Pure."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.values import Value


def expiration_actions(rule: Mapping[str, Value]) -> dict[str, Value]:
    """Return what removes objects, old versions and unfinished uploads."""
    actions: dict[str, Value] = {}
    if "expireAfterDays" in rule:
        actions["Expiration"] = {"Days": rule["expireAfterDays"]}
    if "expireOldVersionsAfterDays" in rule:
        retained_versions = (
            {"NewerNoncurrentVersions": rule["keepNewestVersions"]} if "keepNewestVersions" in rule else {}
        )
        actions["NoncurrentVersionExpiration"] = {
            "NoncurrentDays": rule["expireOldVersionsAfterDays"],
            **retained_versions,
        }
    if "abortUnfinishedUploadsAfterDays" in rule:
        actions["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": rule["abortUnfinishedUploadsAfterDays"]}
    return actions


def transition_actions(rule: Mapping[str, Value]) -> dict[str, Value]:
    """Return what moves objects and old versions to other storage classes."""
    transitions: dict[str, Value] = {}
    members = (
        ("transitions", "Transitions", "Days"),
        ("oldVersionTransitions", "NoncurrentVersionTransitions", "NoncurrentDays"),
    )
    for spec_key, api_key, days_key in members:
        api_transitions = [
            {days_key: transition["afterDays"], "StorageClass": transition["storageClass"]}
            for transition in rule[spec_key]
        ]
        if api_transitions:
            transitions[api_key] = api_transitions
    return transitions
