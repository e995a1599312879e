-- charges_by_tag: what an organization spent in a period by the values of one tag, of charges that match any
-- filters, the largest first, beside an earlier period. Reads the charges themselves; without filters, spend_by_tag
-- is faster. The name is empty where a charge has no such tag.
-- parameter organization String: whose spending
-- parameter start_ms Int64: from this instant, in UTC milliseconds
-- parameter end_ms Int64: until before this instant
-- parameter previous_start_ms Int64: the earlier period to compare with, over by `start_ms`; 0 for none
-- parameter previous_end_ms Int64: its end; 0 for none
-- parameter tag String: the tag
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
-- parameter top UInt32: how many names get a row of their own; the last row is the rest of them together
WITH
    fromUnixTimestamp64Milli({start_ms:Int64}, 'UTC') AS since,
    fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC') AS until,
    fromUnixTimestamp64Milli({previous_start_ms:Int64}, 'UTC') AS previous_since,
    fromUnixTimestamp64Milli({previous_end_ms:Int64}, 'UTC') AS previous_until
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
                tags[{tag:String}] AS name, charged_at >= since AS current,
                ifNull(charges.cost_nanousd, 0) AS cost, requests, if(status = 'ok', 0, requests) AS errors,
                unpriced, unconfirmed_nanousd, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens,
                reasoning_tokens
            FROM charges
            WHERE organization = {organization:String}
              AND (charged_at >= since AND charged_at < until
                   OR charged_at >= previous_since AND charged_at < previous_until)
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
        GROUP BY parts.name
    )
) AS ranked
GROUP BY rest, parent, name
ORDER BY rest, cost_nanousd DESC, parent, name
-- example: {"organization": "acme", "start_ms": 1793505600000, "end_ms": 1796101200000, "previous_start_ms":
--   1790827200000, "previous_end_ms": 1793505600000, "tag": "customer", "projects": ["search"], "teams": [],
--   "providers": [], "models": [], "users": [], "statuses": ["ok"], "tag_names": [], "tag_values": [], "top":
--   20, "features": []}
