"""The whole of Spendgate on one machine: a real Kafka broker, the real ClickHouse engine and every service."""
