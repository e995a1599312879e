"""Money that moves between budgets: what a move may do, and which moves a policy's rules want."""
