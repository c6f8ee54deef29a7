"""Keep secrets out of everything that is shown, logged or stored."""
