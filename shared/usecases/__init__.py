"""What the app does, one module per verb, talking to the world through ports only."""
