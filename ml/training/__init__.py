"""Train the network in stages."""
