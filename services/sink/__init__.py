"""Charges, decisions and what is foreseen to ClickHouse, each exactly once. See README.md."""
