"""Documentation that is generated from the code, and the checks that keep the rest in step with it."""
