"""The real command against the real stack, as a person uses it."""
