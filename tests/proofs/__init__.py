"""Prove the guarantees in docs/explanation/safety.md by running the whole product against the emulator."""
