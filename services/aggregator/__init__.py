"""The aggregator: the only writer of balances, by one deterministic fold over each ledger partition."""
