"""Runs the app on Python 3.11. What that shows and what it does not is said in check.py."""
