"""A stack that uses every option that changes what a deploy asks of AWS, in both runtimes, and its whole life."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

KEY = "arn:aws:kms:eu-west-1:123456789012:key/11111111-2222-3333-4444-555555555555"
BUCKET_KEY = "arn:aws:kms:eu-west-1:123456789012:key/66666666-2222-3333-4444-555555555555"
ALIAS = "arn:aws:kms:eu-west-1:123456789012:alias/shop-files"
MONITORING_ROLE = "arn:aws:iam::123456789012:role/rds-monitoring"
FIREWALL = "arn:aws:wafv2:us-east-1:123456789012:global/webacl/shop/0a1b2c3d-1111-2222-3333-444444444444"
LOG_BUCKET = "shop-cdn-logs"
KEYS = {"shop-files": ALIAS, "shop-releases": BUCKET_KEY, "shop-app": KEY}
"""The keys of buckets and secrets."""

_DOCUMENTS: Mapping[str, str] = {
    "project": """
apiVersion: orchestrator/v1
kind: Project
metadata: {{name: shop}}
spec:
  repository: shop/shop
  region: eu-west-1
  account: "123456789012"
  permissionsBoundary: true
  releases: {{bucket: bucket.releases}}
  alerts: {{email: [{email}]}}
  tags: {{team: "{tag}"}}
  {network}
""",
    "releases": """
apiVersion: orchestrator/v1
kind: Bucket
metadata: {{name: releases}}
spec: {{name: shop-releases, encryption: "aws:kms", kmsKey: "{bucket_key}", deletionPolicy: delete}}
""",
    "files": """
apiVersion: orchestrator/v1
kind: Bucket
metadata: {{name: files}}
spec:
  name: shop-files
  prefixes: [photos, ml-models]
  encryption: "aws:kms"
  kmsKey: "{alias}"
  notifications: {notifications}
  accessLog: {{bucket: shop-access-logs, prefix: "{tag}/"}}
  lifecycle: {{expireOldVersionsAfterDays: {number}}}
  cors: [{{origins: ["https://example.org"], methods: [GET], maxAgeSeconds: {number}}}]
  deletionPolicy: delete
""",
    "web": """
apiVersion: orchestrator/v1
kind: Bucket
metadata: {{name: web}}
spec: {{name: shop-web, spa: {{dir: dist}}, versioning: {flag}, deletionPolicy: delete}}
""",
    "budget": """
apiVersion: orchestrator/v1
kind: Budget
metadata: {{name: monthly}}
spec: {{limit: {number}, alerts: [{number}], email: [{email}]}}
""",
    "secret": """
apiVersion: orchestrator/v1
kind: Secret
metadata: {{name: app}}
spec:
  name: shop-app
  description: "{tag}"
  kmsKey: "{key}"
  deletionPolicy: delete
  data:
    Issuer: "{tag}"
    Signing: {{generate: {{length: 32}}}}
    Url: ${{database.main.url}}
""",
    "databases": """
apiVersion: orchestrator/v1
kind: Database
metadata: {{name: main}}
spec:
  version: "16"
  database: shop
  username: shop
  storage: {{sizeGb: 20, kmsKey: "{key}"}}
  parameters: {{log_min_duration_statement: "{number}"}}
  monitoring: {{intervalSeconds: {interval}, role: "{monitoring_role}"}}
  deletionProtection: false
  deletionPolicy: delete
  alarms: {{connections: {number}}}
  apply: immediately
---
apiVersion: orchestrator/v1
kind: Database
metadata: {{name: other}}
spec:
  version: "16"
  database: other
  username: other
  deletionProtection: false
  deletionPolicy: delete
  {parameters}
""",
    "cdn": """
apiVersion: orchestrator/v1
kind: Cdn
metadata: {{name: web}}
spec:
  origin: bucket.web
  paths: [{{pattern: /ml-models/*, origin: bucket.files}}]
  firewall: "{firewall}"
  deepLinks: {flag}
  securityHeaders: {{frames: {frames}}}
  logs: {{bucket: {log_bucket}.s3.amazonaws.com}}
""",
    "app-runner": """
apiVersion: orchestrator/v1
kind: ContainerService
metadata: {{name: api}}
spec:
  runtime: app-runner
  image: {{repository: shop-api, prebuilt: "{image}", keep: {number}, scanOnPush: {flag}, deletionPolicy: delete}}
  health: {{path: /health}}
  instances: {{min: 1, max: {instances}}}
  environment: {{COLOUR: "{tag}"}}
  secrets: [secret.app]
  access: [bucket.files, secret.app, database.main]
  tracing: true
  encryptionKey: "{key}"
  logs: {{retentionDays: {retention}}}
  alarms: {{http5xx: {number}}}
""",
    "ecs-express": """
apiVersion: orchestrator/v1
kind: ContainerService
metadata: {{name: api}}
spec:
  runtime: ecs-express
  image: {{repository: shop-api, prebuilt: "{image}", keep: {number}, deletionPolicy: delete}}
  health: {{path: /health}}
  instances: {{min: 1, max: {instances}}}
  environment: {{COLOUR: "{tag}"}}
  secrets: [secret.app]
  access: [bucket.files, secret.app, database.main]
  logs: {{retentionDays: {retention}}}
  alarms: {{http5xx: {number}}}
""",
}
_FIRST: Mapping[str, object] = {
    "email": "a@example.org",
    "tag": "one",
    "network": "",
    "number": 20,
    "interval": 5,
    "instances": 2,
    "retention": 30,
    "flag": "true",
    "frames": "DENY",
    "notifications": "none",
    "key": KEY,
    "bucket_key": BUCKET_KEY,
    "parameters": "",
    "alias": ALIAS,
    "monitoring_role": MONITORING_ROLE,
    "firewall": FIREWALL,
    "log_bucket": LOG_BUCKET,
    "image": "${project.registry}/shop-api@sha256:" + "5f" * 32,
}
_SECOND = {
    "email": "b@example.org",
    "tag": "two",
    "number": 30,
    "interval": 10,
    "instances": 3,
    "retention": 60,
    "flag": "false",
    "frames": "SAMEORIGIN",
    "notifications": "eventbridge",
    "parameters": 'parameters: {log_min_duration_statement: "30"}',
}


def write_first(folder: Path, runtime: str) -> Path:
    """Write the stack as it is first deployed."""
    return _write(folder, runtime, {})


def write_second(folder: Path, runtime: str, network: str = "") -> Path:
    """Write it with every setting changed that can be updated in place."""
    return _write(folder, runtime, {**_SECOND, "network": network})


def write_built(folder: Path, runtime: str) -> Path:
    """Write it with an image that is built and a migration, which need Docker to be deployed."""
    _write(folder, runtime, {})
    file = folder / f"{runtime}.yaml"
    text = file.read_text().replace(f'prebuilt: "{_FIRST["image"]}"', "build: {context: .}")
    file.write_text(f"{text}  migrate: {{command: [migrate], destructive: true, runs: in-vpc}}\n")
    databases = folder / "databases.yaml"
    databases.write_text(databases.read_text().replace("  deletionPolicy: delete\n", ""))
    return folder


def write_without(folder: Path, runtime: str, *kinds: str) -> Path:
    """Write it as it is first deployed, without some documents."""
    return _write(folder, runtime, {}, frozenset(kinds))


def _write(folder: Path, runtime: str, values: Mapping[str, object], without: frozenset[str] = frozenset()) -> Path:
    folder.mkdir(exist_ok=True)
    runtimes = {"app-runner", "ecs-express"} - {runtime}
    for name, text in _DOCUMENTS.items():
        file = folder / f"{name}.yaml"
        if name in runtimes | without:
            file.unlink(missing_ok=True)
        else:
            file.write_text(text.format(**{**_FIRST, **values}))
    return folder
