"""Event Grid: topics that are published to, subscriptions, and delivery with retries and dead letters."""
