"""Keep secrets out of everything that is displayed, logged or stored."""
