-- What is still charged at an estimate, and costs by class of token, beside every sum; spending by status; and two roll-ups
-- small enough for periods of years: all that has few values by day, and users by day.
--
-- Filled from the charges that are here already: no sink may insert meanwhile. Each sink migrates before it carries, so
-- stop older ones first. Repeating a statement adds nothing: what was filled once is remembered by its token, and a
-- process that comes late finds this migration applied. If a sink was killed rather than stopped, start its own version once
-- more before this one, so that no range is left to be inserted again into tables that were filled meanwhile.
ALTER TABLE charges
    ADD COLUMN IF NOT EXISTS unconfirmed_nanousd Int64 DEFAULT if(kind = 'unconfirmed', ifNull(cost_nanousd, 0), 0)
    CODEC(T64, ZSTD(1)) AFTER output_cost_nanousd;

-- The tag that every report knows: a column of its own is read several times as fast as one tag of many.
ALTER TABLE charges ADD COLUMN IF NOT EXISTS feature LowCardinality(String) MATERIALIZED tags['feature'];

-- A settlement that came before there was such a column took back the estimate of its reservation, if it had a price.
ALTER TABLE charges
UPDATE unconfirmed_nanousd = -transform(
    concat(organization, '\n', reservation),
    (SELECT groupArray(concat(organization, '\n', reservation)) FROM charges WHERE kind = 'unconfirmed'),
    (SELECT groupArray(ifNull(cost_nanousd, 0)) FROM charges WHERE kind = 'unconfirmed'),
    toInt64(0)
)
WHERE kind = 'adjustment' AND price_version != '' AND unconfirmed_nanousd = 0
SETTINGS mutations_sync = 2, allow_nondeterministic_mutations = 1;

ALTER TABLE spend_by_hour
    ADD COLUMN IF NOT EXISTS unconfirmed_nanousd Int64,
    ADD COLUMN IF NOT EXISTS input_cost_nanousd Int64,
    ADD COLUMN IF NOT EXISTS cache_read_cost_nanousd Int64,
    ADD COLUMN IF NOT EXISTS cache_write_cost_nanousd Int64,
    ADD COLUMN IF NOT EXISTS output_cost_nanousd Int64;
ALTER TABLE spend_by_day_user ADD COLUMN IF NOT EXISTS unconfirmed_nanousd Int64;
ALTER TABLE spend_by_day_tag ADD COLUMN IF NOT EXISTS unconfirmed_nanousd Int64;

INSERT INTO spend_by_hour
(
    hour, organization, project, team, provider, model,
    unconfirmed_nanousd, input_cost_nanousd, cache_read_cost_nanousd, cache_write_cost_nanousd, output_cost_nanousd
)
SELECT
    toDateTime(toStartOfHour(charged_at), 'UTC') AS hour, organization, project, team, provider, model,
    sum(charges.unconfirmed_nanousd), sum(charges.input_cost_nanousd), sum(charges.cache_read_cost_nanousd),
    sum(charges.cache_write_cost_nanousd), sum(charges.output_cost_nanousd)
FROM charges
WHERE (SELECT count() FROM schema_migrations WHERE number = 5) = 0
GROUP BY hour, organization, project, team, provider, model
ORDER BY ALL
SETTINGS insert_deduplicate = 1, insert_deduplication_token = '0005', max_bytes_before_external_group_by = 1000000000,
    max_bytes_before_external_sort = 1000000000;

INSERT INTO spend_by_day_user (day, organization, user, project, team, model, unconfirmed_nanousd)
SELECT
    toDate(charged_at, 'UTC') AS day, organization, user, project, team, model, sum(charges.unconfirmed_nanousd)
FROM charges
WHERE (SELECT count() FROM schema_migrations WHERE number = 5) = 0 AND kind IN ('unconfirmed', 'adjustment')
GROUP BY day, organization, user, project, team, model
ORDER BY ALL
SETTINGS insert_deduplicate = 1, insert_deduplication_token = '0005';

INSERT INTO spend_by_day_tag (day, organization, tag, value, unconfirmed_nanousd)
SELECT
    toDate(charged_at, 'UTC') AS day, organization, tag, value, sum(charges.unconfirmed_nanousd)
FROM charges
ARRAY JOIN mapKeys(tags) AS tag, mapValues(tags) AS value
WHERE (SELECT count() FROM schema_migrations WHERE number = 5) = 0 AND kind IN ('unconfirmed', 'adjustment')
GROUP BY day, organization, tag, value
ORDER BY ALL
SETTINGS insert_deduplicate = 1, insert_deduplication_token = '0005';

-- Replaced at once, under the same name: a view whose query is modified remembers other insert tokens after a restart of
-- the server than before it, so a range that is inserted again would count twice.
CREATE OR REPLACE MATERIALIZED VIEW spend_by_hour_view TO spend_by_hour AS
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
    sum(charges.reasoning_tokens)                  AS reasoning_tokens,
    sum(charges.unconfirmed_nanousd)               AS unconfirmed_nanousd,
    sum(charges.input_cost_nanousd)                AS input_cost_nanousd,
    sum(charges.cache_read_cost_nanousd)           AS cache_read_cost_nanousd,
    sum(charges.cache_write_cost_nanousd)          AS cache_write_cost_nanousd,
    sum(charges.output_cost_nanousd)               AS output_cost_nanousd
FROM charges
GROUP BY hour, organization, project, team, provider, model;

CREATE OR REPLACE MATERIALIZED VIEW spend_by_day_user_view TO spend_by_day_user AS
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
    sum(charges.reasoning_tokens)                  AS reasoning_tokens,
    sum(charges.unconfirmed_nanousd)               AS unconfirmed_nanousd
FROM charges
GROUP BY day, organization, user, project, team, model;

CREATE OR REPLACE MATERIALIZED VIEW spend_by_day_tag_view TO spend_by_day_tag AS
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
    sum(charges.reasoning_tokens)                  AS reasoning_tokens,
    sum(charges.unconfirmed_nanousd)               AS unconfirmed_nanousd
FROM charges
ARRAY JOIN mapKeys(tags) AS tag, mapValues(tags) AS value
GROUP BY day, organization, tag, value;

CREATE TABLE IF NOT EXISTS spend_by_day
(
    day                      Date,
    organization             LowCardinality(String),
    project                  LowCardinality(String),
    team                     LowCardinality(String),
    provider                 LowCardinality(String),
    model                    LowCardinality(String),
    status                   LowCardinality(String),
    requests                 Int64,
    unpriced                 Int64,
    cost_nanousd             Int64,
    input_tokens             UInt64,
    output_tokens            UInt64,
    cache_read_tokens        UInt64,
    cache_write_tokens       UInt64,
    reasoning_tokens         UInt64,
    unconfirmed_nanousd      Int64,
    input_cost_nanousd       Int64,
    cache_read_cost_nanousd  Int64,
    cache_write_cost_nanousd Int64,
    output_cost_nanousd      Int64
)
ENGINE = SummingMergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (organization, day, project, team, provider, model, status)
SETTINGS non_replicated_deduplication_window = 10000;

INSERT INTO spend_by_day
SELECT
    toDate(charged_at, 'UTC') AS day, organization, project, team, provider, model, status,
    sum(charges.requests)                 AS requests,
    sum(charges.unpriced)                 AS unpriced,
    sum(ifNull(charges.cost_nanousd, 0))  AS cost_nanousd,
    sum(charges.input_tokens)             AS input_tokens,
    sum(charges.output_tokens)            AS output_tokens,
    sum(charges.cache_read_tokens)        AS cache_read_tokens,
    sum(charges.cache_write_tokens)       AS cache_write_tokens,
    sum(charges.reasoning_tokens)         AS reasoning_tokens,
    sum(charges.unconfirmed_nanousd)      AS unconfirmed_nanousd,
    sum(charges.input_cost_nanousd)       AS input_cost_nanousd,
    sum(charges.cache_read_cost_nanousd)  AS cache_read_cost_nanousd,
    sum(charges.cache_write_cost_nanousd) AS cache_write_cost_nanousd,
    sum(charges.output_cost_nanousd)      AS output_cost_nanousd
FROM charges
WHERE (SELECT count() FROM schema_migrations WHERE number = 5) = 0
GROUP BY day, organization, project, team, provider, model, status
ORDER BY ALL
SETTINGS insert_deduplicate = 1, insert_deduplication_token = '0005', max_bytes_before_external_group_by = 1000000000,
    max_bytes_before_external_sort = 1000000000;

CREATE MATERIALIZED VIEW IF NOT EXISTS spend_by_day_view TO spend_by_day AS
SELECT
    toDate(charged_at, 'UTC') AS day, organization, project, team, provider, model, status,
    sum(charges.requests)                 AS requests,
    sum(charges.unpriced)                 AS unpriced,
    sum(ifNull(charges.cost_nanousd, 0))  AS cost_nanousd,
    sum(charges.input_tokens)             AS input_tokens,
    sum(charges.output_tokens)            AS output_tokens,
    sum(charges.cache_read_tokens)        AS cache_read_tokens,
    sum(charges.cache_write_tokens)       AS cache_write_tokens,
    sum(charges.reasoning_tokens)         AS reasoning_tokens,
    sum(charges.unconfirmed_nanousd)      AS unconfirmed_nanousd,
    sum(charges.input_cost_nanousd)       AS input_cost_nanousd,
    sum(charges.cache_read_cost_nanousd)  AS cache_read_cost_nanousd,
    sum(charges.cache_write_cost_nanousd) AS cache_write_cost_nanousd,
    sum(charges.output_cost_nanousd)      AS output_cost_nanousd
FROM charges
GROUP BY day, organization, project, team, provider, model, status;

CREATE TABLE IF NOT EXISTS spend_of_users
(
    day                      Date,
    organization             LowCardinality(String),
    user                     String,
    requests                 Int64,
    errors                   Int64,
    unpriced                 Int64,
    cost_nanousd             Int64,
    input_tokens             UInt64,
    output_tokens            UInt64,
    cache_read_tokens        UInt64,
    cache_write_tokens       UInt64,
    reasoning_tokens         UInt64,
    unconfirmed_nanousd      Int64
)
ENGINE = SummingMergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (organization, day, user)
SETTINGS non_replicated_deduplication_window = 10000;

INSERT INTO spend_of_users
SELECT
    day, organization, user,
    sum(spend_by_day_user.requests)            AS requests,
    sum(spend_by_day_user.errors)              AS errors,
    sum(spend_by_day_user.unpriced)            AS unpriced,
    sum(spend_by_day_user.cost_nanousd)        AS cost_nanousd,
    sum(spend_by_day_user.input_tokens)        AS input_tokens,
    sum(spend_by_day_user.output_tokens)       AS output_tokens,
    sum(spend_by_day_user.cache_read_tokens)   AS cache_read_tokens,
    sum(spend_by_day_user.cache_write_tokens)  AS cache_write_tokens,
    sum(spend_by_day_user.reasoning_tokens)    AS reasoning_tokens,
    sum(spend_by_day_user.unconfirmed_nanousd) AS unconfirmed_nanousd
FROM spend_by_day_user
WHERE (SELECT count() FROM schema_migrations WHERE number = 5) = 0
GROUP BY day, organization, user
ORDER BY ALL
SETTINGS insert_deduplicate = 1, insert_deduplication_token = '0005', max_bytes_before_external_group_by = 1000000000,
    max_bytes_before_external_sort = 1000000000;

CREATE MATERIALIZED VIEW IF NOT EXISTS spend_of_users_view TO spend_of_users AS
SELECT
    toDate(charged_at, 'UTC') AS day, organization, user,
    sum(charges.requests)                   AS requests,
    sumIf(charges.requests, status != 'ok') AS errors,
    sum(charges.unpriced)                   AS unpriced,
    sum(ifNull(charges.cost_nanousd, 0))    AS cost_nanousd,
    sum(charges.input_tokens)               AS input_tokens,
    sum(charges.output_tokens)              AS output_tokens,
    sum(charges.cache_read_tokens)          AS cache_read_tokens,
    sum(charges.cache_write_tokens)         AS cache_write_tokens,
    sum(charges.reasoning_tokens)           AS reasoning_tokens,
    sum(charges.unconfirmed_nanousd)        AS unconfirmed_nanousd
FROM charges
GROUP BY day, organization, user;
