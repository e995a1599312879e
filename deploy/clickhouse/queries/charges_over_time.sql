-- charges_over_time: what an organization spent in each bucket of time, of charges that match any filters. Exact for
-- any buckets, as it reads the charges themselves; where the roll-up by hour can answer, spend_over_time is faster.
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
-- parameter users Array(String): only these users
-- parameter statuses Array(String): only these: ok, error, cancelled
-- parameter features Array(String): only charges of these features, which is the tag `feature`
-- parameter tag_names Array(String): only charges on which each of these tags ...
-- parameter tag_values Array(Array(String)): ... has one of these values, tag by tag; '' also matches where there is
--   no such tag
WITH
    fromUnixTimestamp64Milli({start_ms:Int64}, 'UTC') AS since,
    fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC') AS until
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
        roundDown(intDiv(toUnixTimestamp64Milli(charged_at), 1000), {edges:Array(Int64)}) AS bucket,
        ifNull(charges.cost_nanousd, 0) AS cost, requests, if(status = 'ok', 0, requests) AS errors, unpriced,
        unconfirmed_nanousd, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens
    FROM charges
    WHERE organization = {organization:String} AND charged_at >= since AND charged_at < until
      AND (empty({projects:Array(String)}) OR project IN {projects:Array(String)})
      AND (empty({teams:Array(String)}) OR team IN {teams:Array(String)})
      AND (empty({providers:Array(String)}) OR provider IN {providers:Array(String)})
      AND (empty({models:Array(String)}) OR model IN {models:Array(String)})
      AND (empty({users:Array(String)}) OR user IN {users:Array(String)})
      AND (empty({statuses:Array(String)}) OR status IN {statuses:Array(String)})
      AND (empty({features:Array(String)}) OR feature IN {features:Array(String)})
      AND (empty({tag_names:Array(String)}) OR arrayAll((tag, allowed) -> has(allowed, tags[tag]),
          {tag_names:Array(String)}, {tag_values:Array(Array(String))}))
) AS parts
GROUP BY bucket
ORDER BY bucket
-- example: {"organization": "acme", "start_ms": 1793505600000, "end_ms": 1796101200000, "edges": [1793505600,
--   1793595600, 1794200400, 1794805200, 1795410000, 1796014800], "projects": [], "teams": [], "providers": [],
--   "models": [], "users": ["user-7"], "statuses": [], "tag_names": [], "tag_values": [], "features": []}
