"""Benchmark the orchestrator on whole processes; `make bench` prints the table and updates the documentation.

If Terraform is installed, it is measured with the same AWS resources (`peer/`) on the same emulator.  `make test` runs
only the tests of the harness.
"""
