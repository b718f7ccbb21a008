"""Known weaknesses: of what is installed, and of the code."""
