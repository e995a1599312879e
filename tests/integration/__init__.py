"""Tests against a real Kafka broker and the real ClickHouse engine; nothing in here is simulated."""
