"""The demo: a key is rotated in a local Azure, and everything that uses it follows, verified."""
