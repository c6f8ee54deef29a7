"""Emulate AWS App Runner, which no backend has: services, operations, scaling, VPC connectors, tags."""
