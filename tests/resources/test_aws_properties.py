"""Every property that AWS lets one set on a resource is classified: owned, watched, or named as not looked at.

The judge is botocore's service models: a new member of a request, or a new operation on a resource, fails here until
somebody says what plans and drift reports do with it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import pytest
from botocore.model import OperationModel, Shape
from botocore.session import Session

from orchestrator import resources
from orchestrator.resources import AwsProperties

CONTENT_TYPES = {"ec2_vpc", "ecr_image", "migration", "s3_model", "s3_site"}
"""Types without settings of their own: content, and the default network, which is only read."""

READS = re.compile(
    "Describe|List|Get|Head|Lookup|Batch(Get|Delete|Check)|Select|Simulate|Download|Preview|Validate|Copy"
)
UNDOES = re.compile("Delete|Remove|Untag|Detach|Disassociate|Revoke|Reset|Disable|Stop|Cancel|Unsubscribe")
"""Operations that undo what another operation, which is classified, sets."""
TAG_MEMBERS = {"Tags", "tags", "TagSpecifications"}
REQUEST_OPTIONS = {"DryRun", "ClientToken"}
SESSION = Session()


def list_operations(properties: AwsProperties) -> dict[str, OperationModel]:
    """The write operations that name the resource, by name; those of ``requests`` too."""
    model = SESSION.get_service_model(properties.service)
    operations = {name: model.operation_model(name) for name in model.operation_names}
    return {
        name: operation
        for name, operation in operations.items()
        if name in properties.requests
        or (
            not READS.match(name)
            and not UNDOES.match(name)
            and not (properties.others and re.fullmatch(properties.others, name))
            and operation.input_shape is not None
            and set(properties.identified_by) & operation.input_shape.members.keys()
        )
    }


def iter_paths(shape: Shape, path: str = "", parents: tuple[str, ...] = ()) -> Iterator[str]:
    """The paths of all values in a request; tags are one property, CloudFront's ``{Quantity, Items}`` is a list."""
    if path in TAG_MEMBERS:
        yield "Tags"
    elif shape.name in parents:
        yield path
    elif shape.type_name == "structure" and set(shape.members) == {"Quantity", "Items"}:
        yield from iter_paths(shape.members["Items"], path, parents)
    elif shape.type_name == "structure" and shape.members:
        for member, member_shape in shape.members.items():
            if member not in {"Quantity", *REQUEST_OPTIONS}:
                yield from iter_paths(member_shape, f"{path}.{member}" if path else member, (*parents, shape.name))
    elif shape.type_name == "list" and shape.member.type_name == "structure":
        yield from iter_paths(shape.member, f"{path}[]", parents)
    else:
        yield path


def list_properties(properties: AwsProperties) -> set[str]:
    """Everything that botocore says one can set."""
    found: set[str] = set()
    for name, operation in list_operations(properties).items():
        found |= set(iter_paths(operation.input_shape)) if name in properties.requests else {name}
    return found


def list_classified(properties: AwsProperties) -> list[str]:
    ignored = [name for names in properties.not_settings.values() for name in names]
    return [*properties.owned, *properties.watched, *properties.unchecked, *ignored]


def test_every_type_has_a_list() -> None:
    listed = {name for name in resources.list_types() if resources.load_properties(name)}
    assert listed == set(resources.list_types()) - CONTENT_TYPES


@pytest.mark.parametrize("resource_type", sorted(set(resources.list_types()) - CONTENT_TYPES))
def test_every_property_of_botocore_is_classified_once(resource_type: str) -> None:
    properties = resources.load_properties(resource_type)
    assert properties is not None
    model_properties = list_properties(properties)
    classified = list_classified(properties)
    operations = set(SESSION.get_service_model(properties.service).operation_names)

    assert {"not classified": model_properties - set(classified)} == {"not classified": set()}
    assert [name for name, count in Counter(classified).items() if count > 1] == []
    unknown = {
        name
        for name in set(classified) - model_properties
        if name not in operations and not is_attribute(name, model_properties)
    }
    assert {"not in botocore": unknown} == {"not in botocore": set()}


def is_attribute(name: str, model_properties: set[str]) -> bool:
    """Whether it is a key of a map that the model does not list, such as the attributes of a topic."""
    return name.rpartition(".")[0] in model_properties
