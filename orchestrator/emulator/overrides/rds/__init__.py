"""Override Amazon RDS: asynchronous states, pending changes, windows, protection, snapshots, restores."""
