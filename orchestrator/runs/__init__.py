"""Run a verb from lock to report.  Knows neither click nor GitHub."""
