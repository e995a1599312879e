-- What was expected, what surprised, and who was warned. Said again under the same name, a row replaces the one before it:
-- read these tables with FINAL.
CREATE TABLE IF NOT EXISTS forecasts
(
    forecast        String,
    organization    LowCardinality(String),
    scope           String,
    window          LowCardinality(String),
    as_of           Date,
    begins          Date,
    ends            Date,
    spent_nanousd   Int64,
    total_nanousd   Int64,
    low_nanousd     Int64,
    high_nanousd    Int64,
    fan_days        Array(Date),
    fan_low         Array(Int64),
    fan_mid         Array(Int64),
    fan_high        Array(Int64),
    risk_budgets    Array(String),
    risk_limits     Array(Int64),
    risk_chances    Array(Float64),
    risk_days       Array(Nullable(Date)),
    models          Array(String),
    made_at         DateTime64(3, 'UTC'),
    topic_partition UInt16,
    topic_offset    UInt64
)
ENGINE = ReplacingMergeTree(made_at)
PARTITION BY toYYYYMM(begins)
ORDER BY (organization, scope, window, as_of)
TTL toDateTime(ends) + INTERVAL 25 MONTH DELETE
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS anomalies
(
    anomaly              String,
    organization         LowCardinality(String),
    scope                String,
    kind                 LowCardinality(String),
    severity             LowCardinality(String),
    begins               DateTime64(3, 'UTC'),
    hour                 DateTime64(3, 'UTC'),
    observed_nanousd     Int64,
    expected_nanousd     Int64,
    score                Float64,
    dimensions           Array(String),
    values               Array(String),
    values_observed      Array(Int64),
    values_expected      Array(Int64),
    found_at             DateTime64(3, 'UTC'),
    topic_partition      UInt16,
    topic_offset         UInt64
)
ENGINE = ReplacingMergeTree(found_at)
PARTITION BY toYYYYMM(begins)
ORDER BY (organization, scope, begins, anomaly)
TTL toDateTime(begins) + INTERVAL 25 MONTH DELETE
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS alerts
(
    alert            String,
    kind             LowCardinality(String),
    organization     LowCardinality(String),
    budget           LowCardinality(String),
    scope            String,
    window           LowCardinality(String),
    threshold        LowCardinality(String),
    severity         LowCardinality(String),
    settled_nanousd  Int64,
    limit_nanousd    Int64,
    probability      Nullable(Float64),
    projected_nanousd Nullable(Int64),
    expected_on      Nullable(Date),
    raised_at        DateTime64(3, 'UTC'),
    ledger_partition UInt16,
    ledger_offset    UInt64,
    topic_partition  UInt16,
    topic_offset     UInt64
)
ENGINE = ReplacingMergeTree(topic_offset)
PARTITION BY toYYYYMM(raised_at)
ORDER BY (organization, alert)
TTL toDateTime(raised_at) + INTERVAL 25 MONTH DELETE
SETTINGS non_replicated_deduplication_window = 10000;
