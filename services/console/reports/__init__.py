"""Governance reports: gathered from ClickHouse and policies, told by pure code, rendered for people and programs."""
