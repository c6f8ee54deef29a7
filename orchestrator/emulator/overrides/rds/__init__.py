"""Amazon RDS as AWS has it: asynchronous states, pending changes, windows, protection, snapshots, restores."""
