-- Every denial and a sample of what was allowed. The columns are for filters and charts; `explanation` is the decision
-- object exactly as it was given, with the whole chain of budgets.
CREATE TABLE IF NOT EXISTS decisions
(
    decision          String                 CODEC(ZSTD(1)),
    decided_at        DateTime64(3, 'UTC')   CODEC(Delta(8), ZSTD(1)),
    organization      LowCardinality(String),
    project           LowCardinality(String),
    team              LowCardinality(String),
    user              String                 CODEC(ZSTD(1)),
    provider          LowCardinality(String),
    model             LowCardinality(String),
    priority          LowCardinality(String),
    action            LowCardinality(String),
    tier              LowCardinality(String),
    reason            LowCardinality(String),
    estimate_nanousd  Nullable(Int64)        CODEC(T64, ZSTD(1)),
    dry_run           Bool,
    reservation       String                 CODEC(ZSTD(1)),
    binding_budget    LowCardinality(String),
    binding_scope     String                 CODEC(ZSTD(1)),
    binding_window    LowCardinality(String),
    policy_version    Nullable(UInt64)       CODEC(T64, ZSTD(1)),
    price_version     LowCardinality(String),
    explanation       String                 CODEC(ZSTD(3)),
    source            LowCardinality(String),
    ledger_partition  Nullable(UInt16)       CODEC(T64, ZSTD(1)),
    ledger_offset     Nullable(Int64)        CODEC(T64, ZSTD(1)),
    topic_partition   UInt16                 CODEC(T64, ZSTD(1)),
    topic_offset      UInt64                 CODEC(Delta(8), ZSTD(1)),
    INDEX by_decision decision TYPE bloom_filter(0.01) GRANULARITY 4
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(decided_at)
ORDER BY (organization, decided_at)
TTL toDateTime(decided_at) + INTERVAL 13 MONTH DELETE
SETTINGS non_replicated_deduplication_window = 10000;
