"""Everything outside the process, each thing behind a small interface: clock, keys, logs, metrics, web, Kafka, disk."""
