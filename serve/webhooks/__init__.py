"""Webhooks: a URL of the client's is told when its job or batch has ended, signed, until it has heard."""
