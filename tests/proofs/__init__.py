"""Prove the guarantees in the README by running the whole product against the emulator."""
