"""Moves money between budgets as their policies' rules say, and gives back what was lent for a while."""
