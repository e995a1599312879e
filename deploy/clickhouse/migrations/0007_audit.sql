-- Who changed what, and why: kept for as long as the ledger, so nothing of it ever expires. An entry follows from its place
-- in the ledger; told again, it replaces itself: read the table with FINAL.
CREATE TABLE IF NOT EXISTS audit
(
    entry            String,
    organization     LowCardinality(String),
    action           LowCardinality(String),
    subject          String,
    by               String,
    key_id           String,
    reason           String,
    before           String,
    after            String,
    budgets          Array(String),
    at               DateTime64(3, 'UTC'),
    ledger_partition UInt16,
    ledger_offset    UInt64,
    ledger_index     UInt32,
    topic_partition  UInt16,
    topic_offset     UInt64
)
ENGINE = ReplacingMergeTree(topic_offset)
PARTITION BY toYear(at)
ORDER BY (organization, at, entry)
SETTINGS non_replicated_deduplication_window = 10000;
