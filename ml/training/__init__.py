"""Train the network, stage by stage."""
