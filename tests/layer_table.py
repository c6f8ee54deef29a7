"""Write the layers of the import contracts into docs/architecture.md: ``python -m tests.layer_table``."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- layers -->", "<!-- /layers -->"
PURPOSES = {
    "cli": "parse a command line, call `runs/`, return the exit code",
    "demo": "the demo: the real pipeline on an emulated AWS",
    "scaffold": "the first files of a project",
    "doctor": "check a set-up, and say how to fix it",
    "rehearsal": "create, change and delete a small stack in an account, and record how AWS answers",
    "bootstrap": "roles and GitHub settings for the workflows, as desired resources",
    "github": "comments, statuses, deployments, issues, reviewed plans",
    "runs": "the protocol of a run: lock, plan, show, ask, carry out, verify, report",
    "state.server": "the state service: API, pages, store",
    "state.client": "report a run to the state service, or to a journal",
    "state.protocol": "wire types, and the rules of leases",
    "emulator": "an emulated AWS; imports nothing of the product",
    "render": "view models, and text, Markdown and HTML made from them; decides nothing",
    "model_registry": "models in a storage: upload, compare, switch, roll back",
    "recovery": "what can be restored, and the desired state that restores it",
    "eject": "files with which Terraform or CloudFormation imports a stack",
    "release": "ledger, pins, probes, deploy and rollback",
    "drift_acceptance": "the edit of the manifests that makes a drift go away",
    "planning.pipeline": "the stages, connected",
    "planning.apply": "walk a plan's graph on a thread pool",
    "planning.plan": "compare desired and live resources",
    "planning.guards": "one function per veto",
    "planning.account_refusals": "what AWS would refuse to this account",
    "planning.planned_cost": "estimate the cost before and after a plan",
    "cost": "dated prices, and an estimate",
    "planning.snapshot": "read all live resources at once",
    "planning.diff": "compare two specs",
    "planning.waivers": "differences that manifests ignore until a date",
    "planning.events": "what an apply reports",
    "storage": "files in a bucket or a folder",
    "manifest": "YAML to checked documents to desired resources",
    "components": "one module per manifest kind; no I/O",
    "resources": "one module per AWS resource type; reads AWS only through its reader",
    "aws": "the only door to AWS: `Reader` reads, `StepExecutor` writes",
    "artefacts": "images and sites of a checkout, and their hashes",
    "postgresql": "query, compare and copy databases with PostgreSQL's own programs",
    "canonical_json": "structs to canonical JSON and back",
    "iam_actions": "IAM actions that API calls require, by name",
    "steps": "steps of a change, as data",
    "ownership_tags": "ownership marks",
    "secret_rotation": "rotations of generated values, named by the ids of versions",
    "shell": "the only door to processes of this machine",
    "logs": "structlog, loaded only if asked for",
    "redaction": "keep secrets out of texts",
    "interruption": "end the pauses of worker threads when a run is interrupted",
    "problems": "problems with their place and hint; exit codes",
    "vocabulary": "the words of the pipeline, as frozen structs",
    "quantities": "numbers with their nouns",
    "values": "references, unknown and secret values",
    "suspend_aware_clock": "time that also passes while the machine is suspended",
}


def render_table() -> str:
    """Return the layers as a Markdown table, highest first.  Raises KeyError for a layer without a purpose."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["id"] == "layers")
    rows = ["| level | layer | what it is for |", "|---|---|---|"]
    for level, layer in zip(range(len(layers), 0, -1), layers, strict=True):
        names = re.findall(r"\(orchestrator\.([\w.]+)\)", layer)
        rows += [f"| {level} | `{name}` | {PURPOSES[name]} |" for name in names]
    return "\n".join(rows)


def insert_table(page: str) -> str:
    """Return ``page`` with the table between its marks."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{render_table()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(insert_table(PAGE.read_text()))
