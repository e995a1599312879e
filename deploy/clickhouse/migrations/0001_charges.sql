-- Every charge, as the aggregator posted it: what attribution, forecasts and audits read.
--
-- Money is Int64 nano-dollars, NULL where no price is known. Every sum over charges is a sum over all kinds: adjustments
-- and corrections carry signed differences and `requests` 0, and `unpriced` is 1 for an unpriced request and -1 for the
-- correction that priced it. `sequence` is gapless within a `ledger_partition`, so a missing or doubled row shows.
--
-- Rows leave 25 months after they were recorded, not after they were charged: `recorded_at` grows with `sequence`, so
-- what is left stays gapless.
--
-- The window of remembered insert tokens is what makes a repeated insert harmless (services/sink/README.md); each
-- target of a view needs its own.
CREATE TABLE IF NOT EXISTS charges
(
    charge                   String                 CODEC(ZSTD(1)),
    sequence                 UInt64                 CODEC(Delta(8), ZSTD(1)),
    kind                     LowCardinality(String),
    organization             LowCardinality(String),
    project                  LowCardinality(String),
    team                     LowCardinality(String),
    user                     String                 CODEC(ZSTD(1)),
    provider                 LowCardinality(String),
    model                    LowCardinality(String),
    tags                     Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    status                   LowCardinality(String),
    cost_nanousd             Nullable(Int64)        CODEC(T64, ZSTD(1)),
    requests                 Int64                  CODEC(T64, ZSTD(1)),
    unpriced                 Int64                  CODEC(T64, ZSTD(1)),
    input_tokens             UInt64                 CODEC(T64, ZSTD(1)),
    output_tokens            UInt64                 CODEC(T64, ZSTD(1)),
    cache_read_tokens        UInt64                 CODEC(T64, ZSTD(1)),
    cache_write_tokens       UInt64                 CODEC(T64, ZSTD(1)),
    reasoning_tokens         UInt64                 CODEC(T64, ZSTD(1)),
    input_cost_nanousd       Int64                  CODEC(T64, ZSTD(1)),
    cache_read_cost_nanousd  Int64                  CODEC(T64, ZSTD(1)),
    cache_write_cost_nanousd Int64                  CODEC(T64, ZSTD(1)),
    output_cost_nanousd      Int64                  CODEC(T64, ZSTD(1)),
    price_version            LowCardinality(String),
    charged_at               DateTime64(3, 'UTC')   CODEC(Delta(8), ZSTD(1)),
    recorded_at              DateTime64(3, 'UTC')   CODEC(Delta(8), ZSTD(1)),
    latency_ms               Nullable(UInt32)       CODEC(T64, ZSTD(1)),
    streaming                Bool,
    request_id               String                 CODEC(ZSTD(1)),
    reservation              String                 CODEC(ZSTD(1)),
    source                   LowCardinality(String),
    event_id                 String                 CODEC(ZSTD(1)),
    ledger_partition         UInt16                 CODEC(T64, ZSTD(1)),
    ledger_offset            UInt64                 CODEC(Delta(8), ZSTD(1)),
    ledger_index             UInt32                 CODEC(T64, ZSTD(1)),
    topic_partition          UInt16                 CODEC(T64, ZSTD(1)),
    topic_offset             UInt64                 CODEC(Delta(8), ZSTD(1)),
    INDEX by_charge charge TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX by_request request_id TYPE bloom_filter(0.01) GRANULARITY 4
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(charged_at)
ORDER BY (organization, project, toStartOfHour(charged_at), team, user)
TTL toDateTime(recorded_at) + INTERVAL 25 MONTH DELETE
SETTINGS non_replicated_deduplication_window = 10000;
