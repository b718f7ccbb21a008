"""What each Azure service is like: one module per service, each with its facts, its `read` and its `write`."""
