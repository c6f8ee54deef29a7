"""Run apply, destroy, deploy or rollback, from lock to report.  Independent of click and GitHub."""
