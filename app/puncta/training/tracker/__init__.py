"""Training of the network that marks and tracks a needle."""
