"""A renamed component keeps everything: `metadata.renamedFrom`, for every kind and every resource type at once.

AWS cannot rename a database, a bucket, a secret, a repository, a role or a distribution (their APIs have no such call,
or make another endpoint of it), so the names stay, and only the marks that name the component change.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from orchestrator.planning import pipeline
from orchestrator.problems import Problems
from orchestrator.vocabulary import Action, DesiredState, Plan
from tests.planning.every_type import STACK
from tests.proofs import real_stack

HANDLE = re.compile(r"\b(bucket|secret|database|containerservice|cdn|budget)\.([a-z]+)\b")
NAME = re.compile(r"(?<=kind: )(?!Project)(\w+)(, |\n)metadata: \{name: (\w+)\}")


def write(folder: Path, text: str) -> DesiredState:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "shop.yaml").write_text(text)
    return pipeline.load_desired(folder)


def rename_all(text: str) -> str:
    """Every component gets another name, and says which one it had."""
    text = HANDLE.sub(r"\1.new-\2", text)
    return NAME.sub(r"\1\2metadata: {name: new-\3, renamedFrom: \3}", text)


def physical_names(plan: Plan) -> Mapping[str, str]:
    return {change.address.replace(".new-", "."): change.physical for change in plan.changes}


@pytest.mark.both_backends
@pytest.mark.parametrize("backend", real_stack.BACKENDS)
def test_renaming_changes_marks_only(backend: str, tmp_path: Path) -> None:
    with real_stack.emulated_aws(backend):
        before = write(tmp_path, STACK)
        assert real_stack.list_failures(real_stack.apply(before)) == []
        first = real_stack.make_plan(before)
        assert first.pending_changes == ()

        renamed = write(tmp_path, rename_all(STACK))
        plan = real_stack.make_plan(renamed)

        assert not plan.is_vetoed, [veto for change in plan.changes for veto in change.vetoes] + list(plan.vetoes)
        assert {change.action for change in plan.changes} == {Action.UPDATE, Action.NONE}
        assert physical_names(plan) == physical_names(first)
        assert {change.component.partition(".")[0] for change in plan.pending_changes} == {
            "bucket", "secret", "database", "containerservice", "cdn", "budget",
        }  # fmt: skip
        changed = [(change, field) for change in plan.pending_changes for field in change.fields]
        assert [
            f"{change.address} {field}"
            for change, field in changed
            if str(field.before).replace(change.component.replace(".new-", "."), change.component) != field.after
        ] == []

        assert real_stack.list_failures(real_stack.apply(renamed)) == []
        after = real_stack.make_plan(renamed)
        assert after.pending_changes == ()
        assert physical_names(after) == physical_names(first)
        assert real_stack.make_plan(before).pending_changes != ()  # AWS knows the new names: the old manifests differ


@pytest.fixture
def database_only() -> str:
    documents = STACK.split("---")
    return "---".join([documents[0].replace("releases: {bucket: bucket.releases}", ""), documents[4]])


class TestRefusals:
    def test_whatever_else_changes_is_vetoed_until_the_renaming_is_applied(
        self, tmp_path: Path, database_only: str
    ) -> None:
        with real_stack.emulated_aws():
            real_stack.apply(write(tmp_path, database_only))
            both = rename_all(database_only).replace("log_min_duration_statement: 500", "log_min_duration_statement: 9")
            both = both.replace("database: shop", "database: shop, multiAz: true")

            plan = real_stack.make_plan(write(tmp_path, both))

            (veto,) = plan.vetoes
            assert veto.name == "RenameOnly"
            assert "renaming main to database.new-main would also change" in veto.sentence
            assert "rds_instance.new-main (multi_az)" in veto.sentence
            assert "rds_parameter_group.new-main (parameters" in veto.sentence
            assert not veto.token_lifts

            real_stack.apply(write(tmp_path, rename_all(database_only)))
            assert [item.name for item in real_stack.make_plan(write(tmp_path, both)).vetoes] == []

    def test_a_new_name_without_the_old_one_says_how_to_keep_it(self, tmp_path: Path, database_only: str) -> None:
        with real_stack.emulated_aws():
            real_stack.apply(write(tmp_path, database_only))

            plan = real_stack.make_plan(write(tmp_path, database_only.replace("name: main", "name: store")))

        assert "Stateful" in {veto.name for change in plan.changes for veto in change.vetoes}
        (note,) = [note for note in plan.notes if "renamedFrom" in note]
        assert note.startswith("database.store is new, and database.main is deleted.")
        assert "set `metadata.renamedFrom: main` on database.store" in note

    @pytest.mark.parametrize(
        ("former", "message"),
        [
            ("main", "metadata.renamedFrom: main is the component's current name"),
            ("other", "metadata.renamedFrom: other is the name of database.other, which is also declared"),
        ],
    )
    def test_a_former_name_that_is_in_use(self, tmp_path: Path, database_only: str, former: str, message: str) -> None:
        other = database_only.split("---")[1].replace("name: main", "name: other")
        text = database_only.replace("name: main", f"name: main, renamedFrom: {former}") + "---" + other

        with pytest.raises(Problems) as caught:
            write(tmp_path, text)

        assert [(problem.message, problem.where and problem.where.line) for problem in caught.value.problems] == [
            (message, 11)
        ]
