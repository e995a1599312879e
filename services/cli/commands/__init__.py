"""One module a command: its options, its help, and how its parts are put together."""
