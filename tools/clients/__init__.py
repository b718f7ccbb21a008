"""Real clients against the sandbox: az and Cloud Custodian, unmodified, each in an environment of its own."""
