"""AWS App Runner, which no backend has: services, operations, auto scaling configurations, VPC connectors, tags."""
