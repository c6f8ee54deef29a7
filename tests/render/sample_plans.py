"""Plans to render: one made by hand with everything in it, a hostile one, and any that hypothesis can think of."""

from __future__ import annotations

from hypothesis import strategies as st

from orchestrator.problems import Position
from orchestrator.vocabulary import (
    Action,
    Change,
    FieldChange,
    Health,
    PendingChange,
    Plan,
    PlannedStep,
    UnmanagedChange,
    Unread,
    Veto,
)

DIGEST = "9f2b0c61d4a7e85310fbb2c9e07d4418a6d3f5c2e1b09847766554433221100f"


def _make_change(address: str, action: Action, component: str, *fields: FieldChange, **more: object) -> Change:
    physical = f"joiabagur-prod-{address.partition('.')[2]}"
    return Change(address, action, physical, component, fields, **more)  # type: ignore[arg-type]


FULL_PLAN = Plan(
    project="joiabagur",
    environment="prod",
    account="123456789012",
    region="eu-west-1",
    changes=(
        _make_change(
            "s3_bucket.files",
            Action.CREATE,
            "bucket.files",
            FieldChange(("encryption",), None, "AES256"),
            FieldChange(("versioning",), None, True),
            FieldChange(("lifecycle",), None, {"expire_old_versions_after_days": 30, "abort_uploads_after_days": 7}),
            steps=(
                PlannedStep("s3:CreateBucket", {"Bucket": "joiabagur-prod-files"}),
                PlannedStep("s3:PutBucketEncryption", {"Bucket": "joiabagur-prod-files", "Rule": {"SSE": "AES256"}}),
            ),
            where=Position("manifests/buckets.yaml", 3, 1),
        ),
        _make_change(
            "s3_bucket_policy.files",
            Action.UPDATE,
            "bucket.files",
            FieldChange(
                ("policy", "Statement"),
                [{"Sid": "TlsOnly", "Effect": "Deny"}, {"Sid": "Old", "Effect": "Allow"}],
                [{"Sid": "TlsOnly", "Effect": "Deny"}, {"Sid": "Cdn", "Effect": "Allow", "Action": "s3:GetObject"}],
            ),
            depends_on=("s3_bucket.files", "cloudfront_distribution.web"),
        ),
        _make_change(
            "rds_instance.main",
            Action.REPLACE,
            "database.main",
            FieldChange(("encrypted",), False, True),
            FieldChange(("engine_version",), "15", "16"),
            FieldChange(("master_user_password",), None, "correct-horse"),
            steps=(
                PlannedStep("rds:DeleteDBInstance", {"DBInstanceIdentifier": "joiabagur-prod-main"}),
                PlannedStep("rds:DescribeDBInstances", note="wait until deleted"),
                PlannedStep("generate", note="32 random characters"),
                PlannedStep("rds:CreateDBInstance", {"MasterUserPassword": "(secret)", "Engine": "postgres"}),
            ),
            vetoes=(Veto("Stateful", "this will delete joiabagur-prod-main with all its data.", token_lifts=True),),
            where=Position("manifests/database.yaml", 2, 1),
            stateful=True,
        ),
        _make_change(
            "rds_parameter_group.main",
            Action.UPDATE,
            "database.main",
            FieldChange(("parameters", "max_connections"), 60, 80),
            effects=("The database restarts in its maintenance window: about a minute without it.",),
        ),
        _make_change(
            "cloudfront_function.web",
            Action.UPDATE,
            "cdn.web",
            FieldChange(
                ("code",),
                "function handler(event) {\n  // old\n" + "  return event.request;\n" * 12 + "}",
                "function handler(event) {\n  // new\n" + "  return event.request;\n" * 12 + "}",
            ),
            FieldChange(("origin",), None, "${s3_bucket.web.domain}"),
        ),
        _make_change("sns_topic.alerts", Action.DELETE, "", where=None),
        _make_change("ecr_repository.api", Action.NONE, "containerservice.api"),
        _make_change(
            "apprunner_service.api",
            Action.NONE,
            "containerservice.api",
            health=Health.FAILED,
            status="CREATE_FAILED, see its deployment log",
        ),
        _make_change(
            "rds_instance.reports",
            Action.NONE,
            "database.reports",
            pending=(PendingChange("version", "15.14", "16.10", "in the maintenance window sun:04:30-sun:05:30"),),
            status="available",
        ),
        _make_change(
            "iam_role.api",
            Action.NONE,
            "containerservice.api",
            unmanaged=(
                UnmanagedChange(
                    "inline_policies", [], ["admin"], "Remove it with `aws iam delete-role-policy --policy-name admin`."
                ),
            ),
            unwatched=("tags (iam:ListRoleTags: AccessDenied)",),
        ),
    ),
    unread=(Unread("budgets_budget.monthly", "access denied", "budgets:ViewBudget"),),
    vetoes=(Veto("MassRemoval", "2 of 8 resources would be deleted (25%).", token_lifts=True),),
    notes=("The API reads Secrets Manager by injection; no interface endpoint is needed.",),
    digest=DIGEST,
    token="3f2a9c1b5d7e40868a1c2b3d4e5f6071",
)

HOSTILE_TEXTS = (
    "```\n</details><script>alert(1)</script>",
    "\x1b[31mred\x1b]0;title\x07",
    "\n::error::owned\n::set-env name=X::y",
    "##[error]owned",
    "\u202eevil\u2066 \u200f",
    "@octocat @org/team #1 ![x](javascript:alert(1)) <!-- -->",
    "-->\r\n~~~\r\n````",
    "\u2028::warning::a\u2029b\x00\x9b31m",
    "a" * 30 + " ::error::wrapped",
)


def hostile_plan(text: str) -> Plan:
    """A plan with ``text`` at every place where a text may be."""
    change = Change(
        f"s3_bucket.{text}",
        Action.UPDATE,
        text,
        text,
        (FieldChange((text, text), text, {text: [text, text]}), FieldChange(("list",), ["a", text], ["a"])),
        (PlannedStep(text, {text: text}, text),),
        (text,),
        (text,),
        (Veto(text, text),),
        Position(text, 1, 1),
        Health.FAILED,
        text,
        pending=(PendingChange(text, text, text, text),),
        unmanaged=(UnmanagedChange(text, text, [text], text),),
        unwatched=(text,),
    )
    return Plan(
        text, text, text, text, (change,), (Unread(text, text, text),), (Veto(text, text, True),), (text,), text, text
    )


_TEXT = st.text(max_size=30) | st.sampled_from(HOSTILE_TEXTS)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=6,
)
_VETOES = st.lists(st.builds(Veto, _TEXT, _TEXT, st.booleans()), max_size=2).map(tuple)
_TEXTS = st.lists(_TEXT, max_size=2).map(tuple)
_CHANGES = st.builds(
    Change,
    address=_TEXT,
    action=st.sampled_from(Action),
    physical=_TEXT,
    component=_TEXT,
    fields=st.lists(
        st.builds(FieldChange, st.lists(_TEXT, min_size=1, max_size=3).map(tuple), _JSON, _JSON), max_size=3
    ).map(tuple),
    steps=st.lists(st.builds(PlannedStep, _TEXT, _JSON, _TEXT), max_size=2).map(tuple),
    depends_on=_TEXTS,
    effects=_TEXTS,
    vetoes=_VETOES,
    where=st.none() | st.builds(Position, _TEXT, st.integers(1, 999), st.integers(1, 120)),
    pending=st.lists(st.builds(PendingChange, _TEXT, _JSON, _JSON, _TEXT), max_size=2).map(tuple),
    unmanaged=st.lists(st.builds(UnmanagedChange, _TEXT, _JSON, _JSON, _TEXT), max_size=2).map(tuple),
    unwatched=_TEXTS,
    health=st.sampled_from(Health),
    status=_TEXT,
    stateful=st.booleans(),
)
PLANS = st.builds(
    Plan,
    project=_TEXT,
    environment=_TEXT,
    account=_TEXT,
    region=_TEXT,
    changes=st.lists(_CHANGES, max_size=5).map(tuple),
    unread=st.lists(st.builds(Unread, _TEXT, _TEXT, _TEXT), max_size=2).map(tuple),
    vetoes=_VETOES,
    notes=_TEXTS,
    digest=_TEXT,
    token=_TEXT,
)
