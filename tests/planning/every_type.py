"""A stack with a resource of every type that a component creates, all under names made from those of the components."""

from __future__ import annotations

STACK = """
apiVersion: orchestrator/v1
kind: Project
metadata: {name: shop}
spec:
  {repository: team/shop, region: eu-west-1, account: "123456789012", alerts: {email: [ops@shop.example]},
   releases: {bucket: bucket.releases}}
---
{apiVersion: orchestrator/v1, kind: Bucket, metadata: {name: releases}, spec: {}}
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: files}
spec:
  accessLog: {bucket: "${bucket.releases.name}", prefix: log/}
  cors: [{origins: ["https://${cdn.web.domain}"], methods: [GET]}]
---
apiVersion: orchestrator/v1
kind: Secret
metadata: {name: app}
spec: {data: {"Jwt:Key": {generate: {length: 32}}, "Db": "${database.main.connectionString}"}}
---
apiVersion: orchestrator/v1
kind: Database
metadata: {name: main}
spec:
  {version: "16", database: shop, username: shop, parameters: {log_min_duration_statement: 500},
   alarms: {connections: 60}}
---
apiVersion: orchestrator/v1
kind: ContainerService
metadata: {name: api}
spec:
  image: {repository: shop-api, prebuilt: "${project.registry}/shop-api@sha256:DIGEST"}
  tracing: true
  secrets: [secret.app]
  access: [bucket.files, database.main]
  environment: {BUCKET: "${bucket.files.name}"}
  alarms: {http5xx: 5}
---
apiVersion: orchestrator/v1
kind: ContainerService
metadata: {name: jobs}
spec:
  runtime: ecs-express
  health: {path: /health}
  image: {repository: shop-jobs, prebuilt: "${project.registry}/shop-jobs@sha256:DIGEST"}
---
apiVersion: orchestrator/v1
kind: Cdn
metadata: {name: web}
spec:
  origin: bucket.files
  deepLinks: true
  paths: [{pattern: /api/*, origin: containerservice.api}]
  securityHeaders: {contentSecurityPolicy: default-src 'self'}
---
apiVersion: orchestrator/v1
kind: Budget
metadata: {name: monthly}
spec: {limit: 60, alerts: [50], email: [ops@shop.example]}
""".replace("DIGEST", "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef")
