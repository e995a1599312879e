-- Who was told of which alert, and how that went: a later word on the same notification replaces the earlier one.

CREATE TABLE IF NOT EXISTS notifications
(
    notification     String,
    organization     LowCardinality(String),
    alert            String,
    channel          LowCardinality(String),
    step             UInt16,
    state            LowCardinality(String),
    attempts         UInt32,
    message          String,
    detail           String,
    at               DateTime64(3, 'UTC'),
    topic_partition  UInt16,
    topic_offset     UInt64
)
ENGINE = ReplacingMergeTree(topic_offset)
PARTITION BY toYYYYMM(at)
ORDER BY (organization, alert, notification)
TTL toDateTime(at) + INTERVAL 25 MONTH DELETE
SETTINGS non_replicated_deduplication_window = 10000;
