"""The door for usage events, policies and boosts: validated, then durable, then acknowledged."""
