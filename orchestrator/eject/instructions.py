"""Write the page of an export: what to run, in which order, and what stays behind."""

from __future__ import annotations

from orchestrator.eject.owned_resources import Inventory

_PAGE = """# {owner}, exported from orchestrator

{count} resources of account {account} in {region}. Choose one of the two tools. The import does not change any
resource.

Before the import, merge nothing and disable the orchestrator's workflows. After the import, delete those workflows and
the manifests, so that only one tool manages the stack. Never run `orchestrator destroy`: the resources still have the
ownership tags, so it would delete them.

## Terraform

```sh
cd terraform
terraform init
terraform plan -generate-config-out=generated.tf
```

The plan must show `0 to add` and `0 to destroy`. In-place updates can only set arguments that exist only in Terraform,
such as `recovery_window_in_days`. Terraform wrote the configuration of most resources to `generated.tf`. `main.tf`
contains the resources for which Terraform cannot generate it. Optionally, replace ids with references and plan again.
Then run `terraform apply`.

## CloudFormation

```sh
cd cloudformation
aws cloudformation create-change-set --stack-name {stack} --change-set-name import --change-set-type IMPORT \\
    --template-body file://template.json --resources-to-import file://resources-to-import.json \\
    --capabilities CAPABILITY_NAMED_IAM --region {region}
aws cloudformation execute-change-set --stack-name {stack} --change-set-name import --region {region}
```

Every resource has `DeletionPolicy: Retain`. The template declares the properties that identify a resource and those
that CloudFormation requires. CloudFormation does not change properties that the template does not declare. Upload a
template over 51,200 bytes to a bucket first (`--template-url`). `aws cloudformation create-generated-template` writes
the remaining properties.

## Not exported

{skipped}

Secret values stay in Secrets Manager; no file here contains them. The workflow roles and their permissions boundary
have the path `/orchestrator/{project}/{environment}.github/`; delete them in IAM after you delete the last workflow.
The release ledger stays in the release bucket.
"""


def render(inventory: Inventory) -> str:
    """Return the page."""
    scope = inventory.scope
    return _PAGE.format(
        owner=scope.owner,
        count=len(inventory.resources),
        account=scope.account,
        region=scope.region,
        stack=scope.name_prefix,
        project=scope.project,
        environment=scope.environment,
        skipped="\n".join(f"* `{item.address}`: {item.reason}" for item in inventory.skipped)
        or "Everything was exported.",
    )
