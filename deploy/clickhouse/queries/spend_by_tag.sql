-- spend_by_tag: what an organization spent in a period by the values of one tag, the largest first, beside an
-- earlier period. Exact for any period: whole days (UTC) come from the roll-up, and what is left at the edges from
-- the charges. The roll-up knows no charges without the tag: theirs is all spending of those days less the tagged,
-- under the empty name.
-- parameter organization String: whose spending
-- parameter start_ms Int64: from this instant, in UTC milliseconds
-- parameter end_ms Int64: until before this instant
-- parameter previous_start_ms Int64: the earlier period to compare with, over by `start_ms`; 0 for none
-- parameter previous_end_ms Int64: its end; 0 for none
-- parameter tag String: the tag
-- parameter top UInt32: how many names get a row of their own; the last row is the rest of them together
WITH
    fromUnixTimestamp64Milli({start_ms:Int64}, 'UTC') AS since,
    fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC') AS until,
    fromUnixTimestamp64Milli({previous_start_ms:Int64}, 'UTC') AS previous_since,
    fromUnixTimestamp64Milli({previous_end_ms:Int64}, 'UTC') AS previous_until,
    toDate(since + INTERVAL 86399999 MILLISECOND, 'UTC') AS first_day,
    toDate(until, 'UTC') AS end_day,
    toDate(previous_since + INTERVAL 86399999 MILLISECOND, 'UTC') AS previous_first_day,
    toDate(previous_until, 'UTC') AS previous_end_day,
    toDateTime(first_day, 'UTC') AS first_midnight,
    toDateTime(end_day, 'UTC') AS end_midnight,
    toDateTime(previous_first_day, 'UTC') AS previous_first_midnight,
    toDateTime(previous_end_day, 'UTC') AS previous_end_midnight
SELECT
    place > {top:UInt32} AS rest,
    if(rest, '', ranked.parent) AS parent,
    if(rest, '', ranked.name) AS name,
    count() AS names,
    sum(ranked.cost_nanousd) AS cost_nanousd,
    sum(ranked.requests) AS requests,
    sum(ranked.errors) AS errors,
    sum(ranked.unpriced) AS unpriced,
    sum(ranked.unconfirmed_nanousd) AS unconfirmed_nanousd,
    sum(ranked.input_tokens) AS input_tokens,
    sum(ranked.output_tokens) AS output_tokens,
    sum(ranked.cache_read_tokens) AS cache_read_tokens,
    sum(ranked.cache_write_tokens) AS cache_write_tokens,
    sum(ranked.reasoning_tokens) AS reasoning_tokens,
    sum(ranked.previous_nanousd) AS previous_nanousd,
    sum(ranked.previous_requests) AS previous_requests,
    sum(ranked.previous_unpriced) AS previous_unpriced
FROM
(
    SELECT *, row_number() OVER (ORDER BY cost_nanousd DESC, parent, name) AS place
    FROM
    (
        SELECT
            '' AS parent,
            toString(parts.name) AS name,
            sumIf(cost, current) AS cost_nanousd,
            sumIf(parts.requests, current) AS requests,
            sumIf(parts.errors, current) AS errors,
            sumIf(parts.unpriced, current) AS unpriced,
            sumIf(parts.unconfirmed_nanousd, current) AS unconfirmed_nanousd,
            sumIf(parts.input_tokens, current) AS input_tokens,
            sumIf(parts.output_tokens, current) AS output_tokens,
            sumIf(parts.cache_read_tokens, current) AS cache_read_tokens,
            sumIf(parts.cache_write_tokens, current) AS cache_write_tokens,
            sumIf(parts.reasoning_tokens, current) AS reasoning_tokens,
            sumIf(cost, NOT current) AS previous_nanousd,
            sumIf(parts.requests, NOT current) AS previous_requests,
            sumIf(parts.unpriced, NOT current) AS previous_unpriced
        FROM
        (
            SELECT
                arrayJoin([value, '']) AS name, if(name = value, 1, -1) AS sign,
                day >= first_day AS current,
                sign * cost_nanousd AS cost, sign * requests AS requests, sign * errors AS errors,
                sign * unpriced AS unpriced, sign * unconfirmed_nanousd AS unconfirmed_nanousd,
                sign * toInt64(input_tokens) AS input_tokens, sign * toInt64(output_tokens) AS output_tokens,
                sign * toInt64(cache_read_tokens) AS cache_read_tokens,
                sign * toInt64(cache_write_tokens) AS cache_write_tokens,
                sign * toInt64(reasoning_tokens) AS reasoning_tokens
            FROM spend_by_day_tag
            WHERE organization = {organization:String} AND tag = {tag:String} AND value != ''
              AND (day >= first_day AND day < end_day OR day >= previous_first_day AND day < previous_end_day)
            UNION ALL
            SELECT
                '' AS name, 1 AS sign, day >= first_day AS current,
                cost_nanousd AS cost, requests, if(status = 'ok', 0, requests) AS errors, unpriced,
                unconfirmed_nanousd, toInt64(input_tokens) AS input_tokens, toInt64(output_tokens) AS output_tokens,
                toInt64(cache_read_tokens) AS cache_read_tokens, toInt64(cache_write_tokens) AS cache_write_tokens,
                toInt64(reasoning_tokens) AS reasoning_tokens
            FROM spend_by_day
            WHERE organization = {organization:String}
              AND (day >= first_day AND day < end_day OR day >= previous_first_day AND day < previous_end_day)
            UNION ALL
            SELECT
                tags[{tag:String}] AS name, 1 AS sign, charged_at >= since AS current,
                ifNull(charges.cost_nanousd, 0) AS cost, requests, if(status = 'ok', 0, requests) AS errors,
                unpriced, unconfirmed_nanousd, toInt64(input_tokens) AS input_tokens,
                toInt64(output_tokens) AS output_tokens, toInt64(cache_read_tokens) AS cache_read_tokens,
                toInt64(cache_write_tokens) AS cache_write_tokens, toInt64(reasoning_tokens) AS reasoning_tokens
            FROM charges
            WHERE organization = {organization:String}
              AND (charged_at >= since AND charged_at < until
                   AND (charged_at < first_midnight OR charged_at >= end_midnight)
                   OR charged_at >= previous_since AND charged_at < previous_until
                   AND (charged_at < previous_first_midnight OR charged_at >= previous_end_midnight))
        ) AS parts
        GROUP BY parts.name
        HAVING name != '' OR cost_nanousd != 0 OR requests != 0 OR unpriced != 0 OR input_tokens != 0
            OR output_tokens != 0 OR previous_nanousd != 0 OR previous_requests != 0
    )
) AS ranked
GROUP BY rest, parent, name
ORDER BY rest, cost_nanousd DESC, parent, name
-- example: {"organization": "acme", "start_ms": 1793505600000, "end_ms": 1796101200000, "previous_start_ms":
--   1790827200000, "previous_end_ms": 1793505600000, "tag": "feature", "top": 20}
