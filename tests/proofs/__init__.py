"""The promises of the README, each shown by a run of the whole product against the emulator."""
