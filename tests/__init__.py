"""Tests, sorted by cost: core (pure), contracts, integration (real Kafka and ClickHouse), e2e (all services), bench."""
