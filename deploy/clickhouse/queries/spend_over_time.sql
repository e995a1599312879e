-- spend_over_time: what an organization spent in each bucket of time (an hour, a day, a week ...), from the roll-up
-- by hour, and at the edges of the period from the charges. Exact when buckets begin at whole hours (UTC), as days
-- do in most time zones; else ask charges_over_time. Empty buckets have no row.
-- parameter organization String: whose spending
-- parameter start_ms Int64: from this instant, in UTC milliseconds
-- parameter end_ms Int64: until before this instant
-- parameter edges Array(Int64): when each bucket begins, in Unix seconds, ascending, the first at or before
--   `start_ms`. Those of days in New York: arrayMap(n -> toUnixTimestamp(toDateTime(toDate('2026-11-01') + n,
--   'America/New_York')), range(30))
-- parameter projects Array(String): only these projects, '' being what has none; [] for all. So with the next ones
-- parameter teams Array(String): only teams of these names, in whichever project
-- parameter providers Array(String): only these providers
-- parameter models Array(String): only these models
WITH
    fromUnixTimestamp64Milli({start_ms:Int64}, 'UTC') AS since,
    fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC') AS until,
    toStartOfHour(since + INTERVAL 3599999 MILLISECOND) AS first_hour,
    toStartOfHour(until) AS end_hour
SELECT
    bucket,
    sum(cost) AS cost_nanousd,
    sum(parts.requests) AS requests,
    sum(parts.errors) AS errors,
    sum(parts.unpriced) AS unpriced,
    sum(parts.unconfirmed_nanousd) AS unconfirmed_nanousd,
    sum(parts.input_tokens) AS input_tokens,
    sum(parts.output_tokens) AS output_tokens,
    sum(parts.cache_read_tokens) AS cache_read_tokens,
    sum(parts.cache_write_tokens) AS cache_write_tokens,
    sum(parts.reasoning_tokens) AS reasoning_tokens
FROM
(
    SELECT
        roundDown(toInt64(toUnixTimestamp(hour)), {edges:Array(Int64)}) AS bucket,
        cost_nanousd AS cost, requests, errors, unpriced, unconfirmed_nanousd, input_tokens, output_tokens,
        cache_read_tokens, cache_write_tokens, reasoning_tokens
    FROM spend_by_hour
    WHERE organization = {organization:String} AND hour >= first_hour AND hour < end_hour
      AND (empty({projects:Array(String)}) OR project IN {projects:Array(String)})
      AND (empty({teams:Array(String)}) OR team IN {teams:Array(String)})
      AND (empty({providers:Array(String)}) OR provider IN {providers:Array(String)})
      AND (empty({models:Array(String)}) OR model IN {models:Array(String)})
    UNION ALL
    SELECT
        roundDown(intDiv(toUnixTimestamp64Milli(charged_at), 1000), {edges:Array(Int64)}) AS bucket,
        ifNull(charges.cost_nanousd, 0) AS cost, requests, if(status = 'ok', 0, requests) AS errors, unpriced,
        unconfirmed_nanousd, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens
    FROM charges
    WHERE organization = {organization:String} AND charged_at >= since AND charged_at < until
      AND (charged_at < first_hour OR charged_at >= end_hour)
      AND (empty({projects:Array(String)}) OR project IN {projects:Array(String)})
      AND (empty({teams:Array(String)}) OR team IN {teams:Array(String)})
      AND (empty({providers:Array(String)}) OR provider IN {providers:Array(String)})
      AND (empty({models:Array(String)}) OR model IN {models:Array(String)})
) AS parts
GROUP BY bucket
ORDER BY bucket
-- example: {"organization": "acme", "start_ms": 1793505600000, "end_ms": 1796101200000, "edges": [1793505600,
--   1793595600, 1794200400, 1794805200, 1795410000, 1796014800], "projects": [], "teams": [], "providers": [],
--   "models": []}
