"""What a search may propose at all: limits on the latency and the size of the network that would be served."""
