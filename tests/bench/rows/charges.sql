INSERT INTO charges
SELECT
    toString(number) AS charge, number + 1 AS sequence, kind, organization, project, team, user, provider, model, tags,
    status,
    if(kind = 'usage' AND unpriced = 1, NULL, total) AS cost_nanousd,
    toInt64(kind IN ('usage', 'unconfirmed')) AS requests,
    unpriced, input_tokens, output_tokens, cache_read_tokens, 0 AS cache_write_tokens,
    intDiv(output_tokens, 4) AS reasoning_tokens,
    if(classed, input_cost, 0) AS input_cost_nanousd,
    if(classed, cached_cost, 0) AS cache_read_cost_nanousd,
    0 AS cache_write_cost_nanousd,
    if(classed, output_cost, 0) AS output_cost_nanousd,
    multiIf(kind = 'unconfirmed', total, kind = 'adjustment', -2 * total, 0) AS unconfirmed_nanousd,
    'genai-prices 0.2.3' AS price_version,
    charged_at, now64(3, 'UTC') AS recorded_at, toUInt32(200 + r5 % 9000) AS latency_ms, r5 % 3 != 0 AS streaming,
    concat('req-', lower(hex(r5))) AS request_id, '' AS reservation, 'gateway/eu-1' AS source,
    lower(hex(r6)) AS event_id,
    number % 12 AS ledger_partition, number AS ledger_offset, 0 AS ledger_index, number % 12 AS topic_partition,
    number AS topic_offset
FROM
(
    SELECT
        number,
        sipHash64(number, 1) AS r1, sipHash64(number, 2) AS r2, sipHash64(number, 3) AS r3, sipHash64(number, 4) AS r4,
        sipHash64(number, 5) AS r5, sipHash64(number, 6) AS r6,
        toUInt16(floor({organizations:UInt16} * pow(r1 / 18446744073709551616., {skew:Float64}))) AS o,
        if(o = 0, 'acme', concat('org-', toString(o))) AS organization,
        pow((o + 1) / {organizations:UInt16}, 1 / {skew:Float64})
            - pow(o / {organizations:UInt16}, 1 / {skew:Float64}) AS share,
        toUInt32(floor({users:UInt32} * share * pow(r2 / 18446744073709551616., 1.7))) AS u,
        multiIf(r3 % 50 = 0, '', o = 0, concat('user-', toString(u)), concat('user-', toString(o), '-', toString(u)))
            AS user,
        sipHash64(o, u) % 10 AS t,
        if(r3 % 40 = 0, '', ['search', 'assistant'][1 + t % 2]) AS project_of,
        if(o = 0 OR project_of = '', project_of, concat(project_of, '-', toString(o))) AS project,
        if(project = '' OR r3 % 30 = 0, '', concat('team-', toString(o * 10 + t))) AS team,
        toUInt8(floor(30 * pow((r4 % 1000000) / 1000000., 2.5))) AS m,
        concat('model-', toString(m)) AS model,
        ['openai', 'anthropic', 'google', 'azure', 'mistral'][1 + m % 5] AS provider,
        mapFilter((k, v) -> v != '', map(
            'feature', if(r4 % 11 = 0, '', concat('feature-', toString(r4 % 20))),
            'environment', ['production', 'production', 'staging', ''][1 + r4 % 4],
            'cost-center', concat('cc-', toString(t)),
            'customer', if(r5 % 3 = 0, '', concat('customer-', toString(r5 % 500))),
            'prompt', if(r6 % 2 = 0, '', concat('prompt-v', toString(r6 % 40)))
        ))::Map(LowCardinality(String), String) AS tags,
        multiIf(r6 % 1000 < 950, 'ok', r6 % 1000 < 990, 'error', 'cancelled') AS status,
        multiIf(r6 % 2003 < 6, 'unconfirmed', r6 % 2003 < 10, 'adjustment', r6 % 2003 < 12, 'correction', 'usage')
            AS kind,
        toInt64(kind = 'usage' AND r5 % 2000 = 0) AS unpriced,
        kind = 'usage' AND unpriced = 0 AS classed,
        toUInt64(if(kind = 'correction', 0, 50 + r3 % 6000)) AS input_tokens,
        toUInt64(if(kind = 'correction', 0, 5 + r4 % 900)) AS output_tokens,
        toUInt64(if(r3 % 3 = 0, intDiv(input_tokens, 2), 0)) AS cache_read_tokens,
        toInt64((input_tokens - cache_read_tokens) * (50 + m * 90)) AS input_cost,
        toInt64(cache_read_tokens * (25 + m * 45)) AS cached_cost,
        toInt64(output_tokens * (200 + m * 360)) AS output_cost,
        if(kind = 'adjustment', -1, 1) * (input_cost + cached_cost + output_cost + toInt64(kind = 'correction') * 77)
            AS total,
        {begin_ms:Int64} + toInt64(({end_ms:Int64} - {begin_ms:Int64}) * (number / {rows:UInt64})) AS at_ms,
        86400000 * intDiv(at_ms, 86400000) + toInt64(86399999 * (r5 % 1000003 + r6 % 1000003) / 2000006.) AS shown_ms,
        fromUnixTimestamp64Milli(least(shown_ms, {end_ms:Int64} - 1), 'UTC') AS charged_at
    FROM numbers({first:UInt64}, {count:UInt64})
)
SETTINGS insert_deduplicate = 0, max_insert_threads = 1, max_insert_block_size = 2000000,
    min_insert_block_size_rows = 2000000, min_insert_block_size_bytes = 2000000000
