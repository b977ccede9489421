"""What the networks of a space cost when they are served: found before a search trains the first step."""
