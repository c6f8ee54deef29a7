"""Documents that several tests declare: a project with a place for its releases, and what may be beside it."""

from __future__ import annotations

PROJECT = """
apiVersion: orchestrator/v1
kind: Project
metadata: {name: shop}
spec: {repository: shop/shop, region: eu-west-1, account: "123456789012", releases: {bucket: bucket.releases}}
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: releases}
spec: {name: shop-releases}
"""
WEB = """
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: web}
spec: {name: shop-web, spa: {dir: dist}}
"""
SECRET = """
---
apiVersion: orchestrator/v1
kind: Secret
metadata: {name: app}
spec: {name: shop-app, data: {Issuer: one}}
"""
