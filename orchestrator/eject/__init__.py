"""Hand a stack over to Terraform or CloudFormation: files with which they import what an environment owns.  Pure.

Nothing is changed in AWS. What is exported carries the environment's ownership mark, or belongs to something that does.
"""

from __future__ import annotations

from orchestrator.eject import cloudformation, instructions, terraform
from orchestrator.eject.owned_resources import Inventory, list_owned

__all__ = ["build_files", "list_owned"]


def build_files(inventory: Inventory) -> dict[str, str]:
    """Return the text of every file, by its path in the folder of the export."""
    files = {f"terraform/{name}": text for name, text in terraform.render_files(inventory).items()}
    files |= {f"cloudformation/{name}": text for name, text in cloudformation.render_files(inventory).items()}
    return {"README.md": instructions.render(inventory), **files}
