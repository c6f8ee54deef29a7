"""Corrections: where a backend answers otherwise than AWS, one class a service makes it right."""
