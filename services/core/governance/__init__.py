"""Governance as pure code: what was spent and why, who answers for it, and what to plan for."""
