-- What reports and dashboards add up: hours and days in UTC, kept for good. Always read them with sum(): rows of one
-- key are merged in the background, some time after they were written.
CREATE TABLE IF NOT EXISTS spend_by_hour
(
    hour               DateTime('UTC'),
    organization       LowCardinality(String),
    project            LowCardinality(String),
    team               LowCardinality(String),
    provider           LowCardinality(String),
    model              LowCardinality(String),
    requests           Int64,
    errors             Int64,
    unpriced           Int64,
    cost_nanousd       Int64,
    input_tokens       UInt64,
    output_tokens      UInt64,
    cache_read_tokens  UInt64,
    cache_write_tokens UInt64,
    reasoning_tokens   UInt64
)
ENGINE = SummingMergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (organization, hour, project, team, provider, model)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS spend_by_hour_view TO spend_by_hour AS
SELECT
    toDateTime(toStartOfHour(charged_at), 'UTC') AS hour, organization, project, team, provider, model,
    sum(charges.requests)                          AS requests,
    sumIf(charges.requests, status != 'ok')        AS errors,
    sum(charges.unpriced)                          AS unpriced,
    sum(ifNull(charges.cost_nanousd, 0))           AS cost_nanousd,
    sum(charges.input_tokens)                      AS input_tokens,
    sum(charges.output_tokens)                     AS output_tokens,
    sum(charges.cache_read_tokens)                 AS cache_read_tokens,
    sum(charges.cache_write_tokens)                AS cache_write_tokens,
    sum(charges.reasoning_tokens)                  AS reasoning_tokens
FROM charges
GROUP BY hour, organization, project, team, provider, model;

CREATE TABLE IF NOT EXISTS spend_by_day_user
(
    day                Date,
    organization       LowCardinality(String),
    user               String,
    project            LowCardinality(String),
    team               LowCardinality(String),
    model              LowCardinality(String),
    requests           Int64,
    errors             Int64,
    unpriced           Int64,
    cost_nanousd       Int64,
    input_tokens       UInt64,
    output_tokens      UInt64,
    cache_read_tokens  UInt64,
    cache_write_tokens UInt64,
    reasoning_tokens   UInt64
)
ENGINE = SummingMergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (organization, day, user, project, team, model)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS spend_by_day_user_view TO spend_by_day_user AS
SELECT
    toDate(charged_at, 'UTC') AS day, organization, user, project, team, model,
    sum(charges.requests)                          AS requests,
    sumIf(charges.requests, status != 'ok')        AS errors,
    sum(charges.unpriced)                          AS unpriced,
    sum(ifNull(charges.cost_nanousd, 0))           AS cost_nanousd,
    sum(charges.input_tokens)                      AS input_tokens,
    sum(charges.output_tokens)                     AS output_tokens,
    sum(charges.cache_read_tokens)                 AS cache_read_tokens,
    sum(charges.cache_write_tokens)                AS cache_write_tokens,
    sum(charges.reasoning_tokens)                  AS reasoning_tokens
FROM charges
GROUP BY day, organization, user, project, team, model;

-- A charge counts once for each of its tags, so only rows of one `tag` may be added up.
CREATE TABLE IF NOT EXISTS spend_by_day_tag
(
    day                Date,
    organization       LowCardinality(String),
    tag                LowCardinality(String),
    value              String,
    requests           Int64,
    errors             Int64,
    unpriced           Int64,
    cost_nanousd       Int64,
    input_tokens       UInt64,
    output_tokens      UInt64,
    cache_read_tokens  UInt64,
    cache_write_tokens UInt64,
    reasoning_tokens   UInt64
)
ENGINE = SummingMergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (organization, tag, day, value)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS spend_by_day_tag_view TO spend_by_day_tag AS
SELECT
    toDate(charged_at, 'UTC') AS day, organization, tag, value,
    sum(charges.requests)                          AS requests,
    sumIf(charges.requests, status != 'ok')        AS errors,
    sum(charges.unpriced)                          AS unpriced,
    sum(ifNull(charges.cost_nanousd, 0))           AS cost_nanousd,
    sum(charges.input_tokens)                      AS input_tokens,
    sum(charges.output_tokens)                     AS output_tokens,
    sum(charges.cache_read_tokens)                 AS cache_read_tokens,
    sum(charges.cache_write_tokens)                AS cache_write_tokens,
    sum(charges.reasoning_tokens)                  AS reasoning_tokens
FROM charges
ARRAY JOIN mapKeys(tags) AS tag, mapValues(tags) AS value
GROUP BY day, organization, tag, value;
