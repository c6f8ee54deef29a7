"""Define edits of the real stack: eleven updates that cover every resource type, and its destruction."""

from __future__ import annotations

from orchestrator.vocabulary import POWER_HIBERNATED, POWER_ON
from tests.proofs.real_stack import Edit, remove_files, replace_text

UPDATES: dict[str, tuple[Edit, ...]] = {
    "bucket rules": (
        replace_text(
            "buckets.yaml",
            ("abortUnfinishedUploadsAfterDays: 7", "abortUnfinishedUploadsAfterDays: 3"),
            ("maxAgeSeconds: 3600", "maxAgeSeconds: 60"),
        ),
    ),
    "database growth": (
        replace_text("database.yaml", ("retentionDays: 7", "retentionDays: 14"), ("sizeGb: 20", "sizeGb: 40")),
    ),
    "database size": (replace_text("database.yaml", ("db.t3.micro", "db.t3.small\n  apply: immediately")),),
    "secret data": (
        replace_text(
            "secret.yaml",
            (
                "    Jwt:Issuer: JoiabagurPV\n",
                "    Jwt:Issuer: Joiabagur\n    Mail:ApiKey:\n      generate:\n        length: 40\n",
            ),
        ),
    ),
    "service size": (
        replace_text(
            "api.yaml",
            ("memory: 0.5", "memory: 1"),
            ("ASPNETCORE_ENVIRONMENT: Production", "ASPNETCORE_ENVIRONMENT: Staging"),
        ),
    ),
    "service scaling": (replace_text("api.yaml", ("max: 2", "max: 3"), ("keep: 20", "keep: 30")),),
    "service alone": (
        replace_text(
            "api.yaml",
            ("    - database.main\n", ""),
            ("http5xx: 5", "http5xx: 50"),
        ),
    ),
    "service runtime": (replace_text("api.yaml", ("runtime: app-runner", "runtime: ecs-express")),),
    "cdn": (
        replace_text(
            "cdn.yaml",
            ("priceClass: europe", "priceClass: world"),
            ("deepLinks: true", "deepLinks: false"),
            ("pattern: /ml-models/*", "pattern: /models/*"),
        ),
    ),
    "budget": (replace_text("budget.yaml", ("alerts: [20, 40, 60]", "alerts: [30, 60]"), ("limit: 60", "limit: 80")),),
    "alarms": (replace_text("database.yaml", ("connections: 60", "connections: 40"), ("    cpuCredits: 20\n", "")),),
}

IRREVERSIBLE = frozenset({"database growth"})
"""Storage never shrinks."""

SERVICE_ALONE: tuple[Edit, ...] = (
    remove_files("cdn.yaml", "budget.yaml", "database.yaml", "secret.yaml", "environments/prod.yaml"),
    replace_text("buckets.yaml", ("${cdn.web.domain}", "shop.example")),
    replace_text(
        "api.yaml",
        ("  secrets:\n    - secret.app\n", ""),
        ("    - secret.app\n    - database.main\n", ""),
    ),
)
"""Only the service and the buckets: a small stack for the crashes during a change of runtime."""
EXPRESS_SERVICE: tuple[Edit, ...] = (*SERVICE_ALONE, *UPDATES["service runtime"])
"""Only the service and the buckets, on ECS Express."""
SMALL_SCENARIOS = frozenset({"service runtime", "create express", "destroy express"})
"""Scenarios that use the small stack."""
DATABASE_ALONE: tuple[Edit, ...] = (
    remove_files("cdn.yaml", "budget.yaml", "api.yaml", "environments/prod.yaml"),
    replace_text("buckets.yaml", ("${cdn.web.domain}", "shop.example")),
)
"""Only the database, its secret and the buckets: a small stack for the crashes during a restore."""
RESTORE_SCENARIOS = {"restore snapshot": "snapshot", "restore time": "time"}
"""Restores of the database, with the kind of their point."""
POWER_SCENARIOS = {"hibernate": POWER_HIBERNATED, "wake": POWER_ON}
"""Hibernation of a service and its database, and its end, with the power that each wants."""
SERVICE_AND_DATABASE: tuple[Edit, ...] = (
    remove_files("cdn.yaml", "budget.yaml"),
    replace_text("buckets.yaml", ("${cdn.web.domain}", "shop.example")),
)
"""The service, the database and what they use: a small stack for the crashes during hibernation."""
DELETABLE: tuple[Edit, ...] = (
    replace_text("buckets.yaml", ("  encryption: AES256", "  deletionPolicy: delete\n  encryption: AES256")),
    replace_text("database.yaml", ("deletionProtection: true", "deletionProtection: false\n  deletionPolicy: delete")),
    replace_text("environments/prod.yaml", ("deletionProtection: true", "deletionProtection: false")),
    replace_text("secret.yaml", ("  data:", "  deletionPolicy: delete\n  data:")),
    replace_text("api.yaml", ("    keep: 20", "    keep: 20\n    deletionPolicy: delete")),
)
"""Allows the deletion of everything in the manifests."""
CREATE_SCENARIOS: dict[str, tuple[Edit, ...]] = {"create": (), "create express": EXPRESS_SERVICE}
"""Stacks to create in an empty account."""
DESTROY_SCENARIOS: dict[str, tuple[Edit, ...]] = {
    "destroy": DELETABLE,
    "destroy express": (*EXPRESS_SERVICE, DELETABLE[0], DELETABLE[-1]),
}
