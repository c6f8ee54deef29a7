"""Edits of the real stack: eleven updates that between them touch every kind of resource, and the way to its end."""

from __future__ import annotations

from tests.proofs.world import Edit, swap, without

UPDATES: dict[str, tuple[Edit, ...]] = {
    "bucket rules": (
        swap(
            "buckets.yaml",
            ("abortUnfinishedUploadsAfterDays: 7", "abortUnfinishedUploadsAfterDays: 3"),
            ("maxAgeSeconds: 3600", "maxAgeSeconds: 60"),
        ),
    ),
    "database growth": (
        swap("database.yaml", ("retentionDays: 7", "retentionDays: 14"), ("sizeGb: 20", "sizeGb: 40")),
    ),
    "database size": (swap("database.yaml", ("db.t3.micro", "db.t3.small\n  apply: immediately")),),
    "secret data": (
        swap(
            "secret.yaml",
            (
                "    Jwt:Issuer: JoiabagurPV\n",
                "    Jwt:Issuer: Joiabagur\n    Mail:ApiKey:\n      generate:\n        length: 40\n",
            ),
        ),
    ),
    "service size": (
        swap(
            "api.yaml",
            ("memory: 0.5", "memory: 1"),
            ("ASPNETCORE_ENVIRONMENT: Production", "ASPNETCORE_ENVIRONMENT: Staging"),
        ),
    ),
    "service scaling": (swap("api.yaml", ("max: 2", "max: 3"), ("keep: 20", "keep: 30")),),
    "service alone": (
        swap(
            "api.yaml",
            ("    - database.main\n", ""),
            ("http5xx: 5", "http5xx: 50"),
        ),
    ),
    "service runtime": (swap("api.yaml", ("runtime: app-runner", "runtime: ecs-express")),),
    "cdn": (
        swap(
            "cdn.yaml",
            ("priceClass: europe", "priceClass: world"),
            ("deepLinks: true", "deepLinks: false"),
            ("pattern: /ml-models/*", "pattern: /models/*"),
        ),
    ),
    "budget": (swap("budget.yaml", ("alerts: [20, 40, 60]", "alerts: [30, 60]"), ("limit: 60", "limit: 80")),),
    "alarms": (swap("database.yaml", ("connections: 60", "connections: 40"), ("    cpuCredits: 20\n", "")),),
}

ONE_WAY = frozenset({"database growth"})
"""Storage never shrinks."""

SERVICE_ALONE: tuple[Edit, ...] = (
    without("cdn.yaml", "budget.yaml", "database.yaml", "secret.yaml", "environments/prod.yaml"),
    swap("buckets.yaml", ("${cdn.web.domain}", "shop.example")),
    swap(
        "api.yaml",
        ("  secrets:\n    - secret.app\n", ""),
        ("    - secret.app\n    - database.main\n", ""),
    ),
)
"""The service and the buckets: what a change of runtime is killed in, call by call, in little time."""
EXPRESS: tuple[Edit, ...] = (*SERVICE_ALONE, *UPDATES["service runtime"])
"""The same on ECS Express."""
SMALL = frozenset({"service runtime", "create express", "destroy express"})
"""What is killed in that."""
MORTAL: tuple[Edit, ...] = (
    swap("buckets.yaml", ("  encryption: AES256", "  deletionPolicy: delete\n  encryption: AES256")),
    swap("database.yaml", ("deletionProtection: true", "deletionProtection: false\n  deletionPolicy: delete")),
    swap("environments/prod.yaml", ("deletionProtection: true", "deletionProtection: false")),
    swap("secret.yaml", ("  data:", "  deletionPolicy: delete\n  data:")),
    swap("api.yaml", ("    keep: 20", "    keep: 20\n    deletionPolicy: delete")),
)
"""The manifests' word that everything may go."""
CREATED: dict[str, tuple[Edit, ...]] = {"create": (), "create express": EXPRESS}
"""What is made in an empty account."""
DESTROYED: dict[str, tuple[Edit, ...]] = {"destroy": MORTAL, "destroy express": (*EXPRESS, MORTAL[0], MORTAL[-1])}
