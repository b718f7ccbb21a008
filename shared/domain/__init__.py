"""Pure: keys, resources, services as facts, plans, work items, events, reasons. No I/O, no clock, no environment."""
