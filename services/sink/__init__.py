"""Charges and decisions to ClickHouse, each exactly once. See README.md."""
