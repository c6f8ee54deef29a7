"""What the orchestrator costs, measured on whole processes; `make bench` prints and keeps the table.

Terraform describing the same AWS things (`peer/`) on the same emulator is the measure, where it is on the machine.
Nothing here runs in `make test` but the arithmetic.
"""
