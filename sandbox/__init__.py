"""Azure on your own machine: a seeded, clock-driven state machine with an HTTPS face and an in-process face."""
