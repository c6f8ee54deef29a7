"""Write the page of an export: what to run, in which order, and what stays behind."""

from __future__ import annotations

from orchestrator.eject.owned_resources import Inventory

_PAGE = """# {owner}, exported from orchestrator

{count} resources of account {account} in {region}. Choose one of the two tools; an import changes no resource.

Before the import, merge nothing and disable the workflows of orchestrator. After the import, delete those workflows and
the manifests, so that only one tool manages the stack. Never run `orchestrator destroy`: the resources still have the
ownership tags, so it would delete them.

## Terraform

```sh
cd terraform
terraform init
terraform plan -generate-config-out=generated.tf
```

The plan has to say `0 to add` and `0 to destroy`. In-place updates may only set what Terraform itself keeps,
such as `recovery_window_in_days`. Terraform wrote the configuration of most resources into `generated.tf`; `main.tf`
holds those that it cannot generate. Replace ids by references where you like, plan again, then `terraform apply`.

## CloudFormation

```sh
cd cloudformation
aws cloudformation create-change-set --stack-name {stack} --change-set-name import --change-set-type IMPORT \\
    --template-body file://template.json --resources-to-import file://resources-to-import.json \\
    --capabilities CAPABILITY_NAMED_IAM --region {region}
aws cloudformation execute-change-set --stack-name {stack} --change-set-name import --region {region}
```

Every resource has `DeletionPolicy: Retain`. The template declares what identifies a resource and what CloudFormation
requires; it leaves alone what a template does not declare. A template over 51,200 bytes has to be uploaded to a bucket
first (`--template-url`). `aws cloudformation create-generated-template` writes the remaining properties.

## Not exported

{skipped}

Secrets keep their values in Secrets Manager; no file here holds one. The roles of the workflows and their boundary have
the path `/orchestrator/{project}/{environment}.github/`; delete them in IAM when the last workflow is gone. Records of
releases stay in the release bucket.
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
