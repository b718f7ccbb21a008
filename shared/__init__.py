"""The product's core: domain, services, use cases, adapters. See docs/architecture.md for the map."""
