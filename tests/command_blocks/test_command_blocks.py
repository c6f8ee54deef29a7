"""Every `sh` block of tutorials and how-to guides runs in a project that has what its page speaks of, or says why not.

`console` blocks, whose output is compared, run in tests/test_readme.py.  Here every line has to succeed on a terminal,
with a reader who answers; of `console` blocks of CONSOLE_PAGES the output is compared too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from orchestrator.emulator import container_runtime, start
from orchestrator.emulator.database_engine import find_binaries
from tests.bootstrap.fake_github import TOKEN, serve_github
from tests.cli.state_service import UNREACHABLE_URL, run_service
from tests.command_blocks import reader_projects as projects
from tests.command_blocks.reader_projects import ReaderProject
from tests.documentation import CONSOLE_PAGES, FILE_NAME, PAGES, matches
from tests.emulator.account import wait_until
from tests.proofs.real_stack import aws_environment
from tests.proofs.test_first_day_faults import FIRST_DAY
from tests.state.postgres import run_cluster

NOT_RUN: dict[str, dict[str, str]] = yaml.safe_load((Path(__file__).parent / "not_run.yaml").read_text())
PURPOSES = ("docs/tutorial/", "docs/how-to/")
COMMAND = re.compile(r"^(\$|orchestrator|gh|aws|docker|terraform|pulumi|git|cd|export) ", re.MULTILINE)
TOOL_COMMIT = "0123456789abcdef0123456789abcdef01234567"

Preparation = Callable[[ReaderProject], object]
Surroundings = Callable[[Path], AbstractContextManager[ReaderProject]]


@dataclass(frozen=True)
class Block:
    """A block of a page: its commands with the output that the page shows, None if it shows none."""

    page: str
    line: int
    commands: tuple[tuple[str, str | None], ...]

    @property
    def reason_not_to_run(self) -> str:
        """Why nothing runs the block; "" if it has to run."""
        first = self.commands[0][0]
        return next((reason for begin, reason in NOT_RUN.get(self.page, {}).items() if first.startswith(begin)), "")


def list_blocks() -> Iterator[Block]:
    """Yield the blocks that this module has to run, page by page."""
    for page in PAGES:
        if not page.name.startswith(PURPOSES):
            continue
        for position, text in page.blocks("sh"):
            lines = text.replace("\\\n", " ").strip().splitlines()
            yield Block(page.name, page.text[:position].count("\n") + 1, tuple((line, None) for line in lines))
        for example in page.examples() if page.name in CONSOLE_PAGES else ():
            yield Block(page.name, example.line, ((example.command, example.output),))


@contextmanager
def shop_in_two_environments(folder: Path) -> Iterator[ReaderProject]:
    """A shop with a service, a site, a database and its secret in `prod` and `staging`, each with two releases."""
    with start(settle_seconds=0, run_services=True) as emulator, aws_environment(emulator):
        service = projects.SERVICE % projects.push_image(emulator, folder / "python")
        manifests = (projects.PROJECT, projects.DATABASE, projects.SECRET, service)
        project = ReaderProject(folder / "work", emulator, *manifests, environments=("prod", "staging"))
        project.edit("manifests/shop.yaml", "name: shop-app\n", "name: shop-app-${project.environment}\n")
        project.answers += [(r"Value of Stripe:Key: \Z", "sk_test_1"), (r"=> \Z", "\\q")]
        for name in ("staging", "prod"):
            project.succeed(f"orchestrator secret set app Stripe:Key -e {name}")
            project.succeed(f"orchestrator deploy --auto-approve -e {name}")
        project.write("web/index.html", "<h1>Version 2</h1>")
        project.commit("Change the page")
        project.succeed("orchestrator deploy --auto-approve -e prod")
        project.environment["State__Database"] = f"sqlite:///{folder}/state.db"
        project.succeed("orchestrator token create ci-2026")
        with run_service(folder) as (service_, token):
            project.environment["ORCHESTRATOR_STATE_TOKEN"] = token
            project.environment["STATE_ADDRESS"] = service_.address
            yield project


def take_service_away(project: ReaderProject) -> None:
    project.environment["ORCHESTRATOR_STATE_URL"] = UNREACHABLE_URL


def bring_service_back(project: ReaderProject) -> None:
    project.environment["ORCHESTRATOR_STATE_URL"] = project.environment["STATE_ADDRESS"]


def store_another_key(project: ReaderProject) -> None:
    project.answers[0] = (project.answers[0][0], "sk_test_2")


def deploy_another_page(project: ReaderProject) -> None:
    project.write("web/index.html", "<h1>Version 3</h1>")
    project.commit("Change the page again")
    project.succeed("orchestrator deploy --auto-approve -e prod")


def damage_ledger(project: ReaderProject) -> None:
    broken = {"Bucket": "shop-releases-prod", "Key": "ledger/prod.json", "Body": b"{ broken"}
    project.clients.call("s3", "put_object", broken)


@contextmanager
def shop_with_rows(folder: Path) -> Iterator[ReaderProject]:
    """A shop with an empty database in AWS, and the server that it used until now, with rows and photos."""
    binaries = find_binaries()
    assert binaries is not None
    with (
        start(settle_seconds=0, run_services=True) as emulator,
        aws_environment(emulator),
        run_cluster(binaries) as server,
    ):
        database = projects.DATABASE + (
            "  fileReferences:\n    - {query: SELECT path FROM product_photo, bucket: bucket.files, prefix: photos/}\n"
        )
        secret = "".join(line for line in projects.SECRET.splitlines(keepends=True) if "external" not in line)
        project = ReaderProject(folder / "work", emulator, projects.PROJECT, database, secret, projects.FILES)
        project.succeed("orchestrator apply --auto-approve")
        source = server.create_database()
        project.environment |= {"SOURCE": source, "PGPASSWORD": "unused"}
        for sql in ("CREATE TABLE product_photo (path text)", "INSERT INTO product_photo VALUES ('photos/ring.jpg')"):
            project.succeed(f'psql "$SOURCE" -c "{sql}"')
        project.clients.call("s3", "put_object", {"Bucket": "shop-files-eu", "Key": "photos/ring.jpg", "Body": b"gold"})
        yield project


def mark_moment(project: ReaderProject) -> None:
    """Wait until RDS can restore this moment, which then stands for the one of the page."""
    moment = datetime.now(UTC)
    instance = {"DBInstanceIdentifier": "shop-prod-main"}
    read: Callable[[], datetime] = lambda: project.clients.call("rds", "describe_db_instances", instance)[  # noqa: E731
        "DBInstances"
    ][0]["LatestRestorableTime"]
    wait_until(read, lambda found: found > moment)
    project.environment["MOMENT"] = f"{moment:%Y-%m-%d %H:%M:%S}"


def ask_for_the_new_version(project: ReaderProject) -> None:
    project.edit("manifests/shop.yaml", 'version: "15"', 'version: "17"')


def ask_for_the_old_version(project: ReaderProject) -> None:
    project.edit("manifests/shop.yaml", 'version: "17"', 'version: "15"')


@contextmanager
def shop_on_github(folder: Path) -> Iterator[ReaderProject]:
    """A repository with a site that deploys to AWS from GitHub; nothing is set up yet."""
    with (
        start(settle_seconds=0) as emulator,
        aws_environment(emulator),
        serve_github("shop/shop") as hub,
    ):
        project = ReaderProject(folder / "work", emulator)
        project.environment |= {"GITHUB_API_URL": hub.url, "GITHUB_TOKEN": TOKEN}
        hub.published.add(f"team/orchestrator/commits/{TOOL_COMMIT}")
        for listing in ("releases", "tags"):
            hub.others[f"team/orchestrator/{listing}?per_page=100&page=1"] = []
        project.succeed("git remote add origin https://github.com/shop/shop")
        project.answers += [(r"workflows[^:]*: ?\Z", f"team/orchestrator@{TOOL_COMMIT}"), (r"(?<!accepted): ?\Z", "")]
        yield project


@contextmanager
def site_before_its_first_day(folder: Path) -> Iterator[ReaderProject]:
    """A site and its workflows, in an account of the first day."""
    with shop_on_github(folder) as project:
        project.succeed("orchestrator init")
        project.commit("Set up deployment")
        project.emulator.faults = replace(
            FIRST_DAY, failing_images=("*rehearsal-no-such-tag",), max_session_seconds=0.3, unseen_reads={}
        )
        yield project


def declare_promotion(project: ReaderProject) -> None:
    """What the page declares, without the two hours; staging has a release."""
    [page] = [page for page in PAGES if page.name == "docs/how-to/promote-releases.md"]
    [manifest] = [text for _, text in page.blocks("yaml") if FILE_NAME.match(text)]
    project.write("manifests/environments/prod.yaml", manifest.replace("soak: 2h", "soak: 0m"))
    project.commit("Promote releases")
    project.succeed("orchestrator deploy --auto-approve -e staging")
    project.succeed("orchestrator deploy --auto-approve -e prod")
    project.write("web/index.html", "<h1>Version 2</h1>")
    project.commit("Change the page")
    project.succeed("orchestrator deploy --auto-approve -e staging")


def add_two_applications(project: ReaderProject) -> None:
    for name in ("shop", "blog"):
        text = projects.PROJECT.replace("name: shop}", f"name: {name}}}").replace("shop-", f"{name}-of-team-")
        project.write(f"apps/{name}/manifests/project.yaml", text.replace("../web", "../../../web"))
        project.write(f"apps/{name}/manifests/environments/prod.yaml", "")


@dataclass(frozen=True)
class Journey:
    """What runs the blocks of ``pages``, in that order.

    ``before`` prepares a line by its beginning; ``words`` replaces what a reader replaces.  ``reports`` is how often a
    line by its beginning exits with 1 first, because it reports what the page has not set up yet.
    """

    surroundings: Surroundings
    pages: tuple[str, ...]
    before: Mapping[str, Preparation] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    reports: Mapping[str, int] = field(default_factory=dict)

    def adapt(self, line: str) -> str:
        for old, new in self.words.items():
            line = line.replace(old, new)
        return line


JOURNEYS = {
    "operations": Journey(
        shop_in_two_environments,
        (
            "docs/how-to/rotate-secrets.md",
            "docs/how-to/runbooks.md",
            "docs/how-to/hibernate.md",
            "docs/how-to/roll-back.md",
            "docs/how-to/build-images.md",
            "docs/how-to/deploy-sites.md",
        ),
        {
            "orchestrator secret set app Stripe:Key": store_another_key,
            "orchestrator rollback --plan": deploy_another_page,
            "orchestrator deploy --without-record": take_service_away,
            "orchestrator history import": bring_service_back,
            "orchestrator restore ledger --list": damage_ledger,
        },
        {"RUN.jsonl": "*.jsonl", "restore ledger": "restore ledger -e prod"},
    ),
    "database": Journey(
        shop_with_rows,
        (
            "docs/how-to/move-a-database.md",
            "docs/how-to/move-files.md",
            "docs/how-to/restore-a-database.md",
            "docs/how-to/upgrade-a-database.md",
        ),
        {
            "orchestrator restore database main --to": mark_moment,
            "orchestrator upgrade database main --plan": ask_for_the_new_version,
            "orchestrator restore database main --snapshot": ask_for_the_old_version,
        },
        {
            "postgresql://app@localhost/shop": '"$SOURCE"',
            "'2026-11-29 14:05'": '"$MOMENT"',
            "PGPASSWORD=...": "PGPASSWORD=unused",
        },
    ),
    "github": Journey(
        shop_on_github,
        (
            "docs/how-to/set-up-github.md",
            "docs/how-to/environments.md",
            "docs/how-to/promote-releases.md",
            "docs/how-to/upgrade.md",
            "docs/how-to/several-applications.md",
        ),
        {
            "orchestrator promote --from staging --to prod --plan": declare_promotion,
            "orchestrator bootstrap github -f apps/shop": add_two_applications,
        },
        {"--release 12": "--release 2"},
    ),
    "first day": Journey(
        site_before_its_first_day, ("docs/how-to/first-day-on-aws.md",), reports={"orchestrator doctor": 1}
    ),
}


def test_every_block_is_run_or_has_a_reason() -> None:
    """A block that nobody runs is named in not_run.yaml; what is named there exists."""
    blocks = list(list_blocks())
    journeyed = {page for journey in JOURNEYS.values() for page in journey.pages}
    named = [(page, begin) for page, reasons in NOT_RUN.items() for begin in reasons]
    matched = [
        (block.page, begin)
        for block in blocks
        for begin in NOT_RUN.get(block.page, {})
        if block.commands[0][0].startswith(begin)
    ]

    assert len(blocks) >= 45
    assert [block for block in blocks if block.page not in journeyed and not block.reason_not_to_run] == []
    assert sorted(matched) == sorted(named)
    assert len(named) <= 14
    assert journeyed == {block.page for block in blocks if not block.reason_not_to_run}


def test_no_command_hides_in_another_block() -> None:
    """`text` is output or a fragment of a file; every fence says what it is."""
    pages = [page for page in PAGES if page.name.startswith(PURPOSES)]

    assert [(page.name, text) for page in pages for _, text in page.blocks("text") if COMMAND.search(text)] == []
    assert [page.name for page in pages if re.search(r"^ *```\n[^\n]", page.text) and "```\n\n```\n" in page.text] == []


@pytest.mark.slow
@pytest.mark.real_parts
@pytest.mark.timeout(600)
@pytest.mark.skipif(find_binaries() is None, reason="needs PostgreSQL's server programs")
@pytest.mark.skipif(bool(container_runtime.check_isolation()), reason="needs what isolates processes")
@pytest.mark.parametrize("name", JOURNEYS)
def test_every_line_works_on_a_terminal(name: str, tmp_path: Path) -> None:
    """A line exits with 0, and with 1 where the page says so; shown output is printed."""
    journey = JOURNEYS[name]
    with journey.surroundings(tmp_path) as project:
        assert next(follow(journey, project), "") == ""


def follow(journey: Journey, project: ReaderProject) -> Iterator[str]:
    """Run the blocks of a journey; yield each line that does not do what its page says, with what it printed."""
    blocks = [block for page in journey.pages for block in list_blocks() if block.page == page]
    reports = Counter(journey.reports)
    for block in blocks:
        for line, output in () if block.reason_not_to_run else block.commands:
            for begin, prepare in journey.before.items():
                if line.startswith(begin):
                    prepare(project)
            exit_code, shown = project.type(journey.adapt(line))
            begin = next((begin for begin, left in reports.items() if left and line.startswith(begin)), "")
            reports[begin] -= 1
            if exit_code != (1 if begin else 0) or (output is not None and not matches(output, shown)):
                yield f"{block.page}:{block.line}: $ {line} exits with {exit_code}\n{shown}"
