"""Implementations of AWS that can stand behind the gateway."""
