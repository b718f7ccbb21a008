"""Takes each safety rule out in turn and shows that the tests notice."""
