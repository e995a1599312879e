"""The wire contract, data first: what events and policies say, where they travel, and examples of each."""
