-- charges_by_token_class: as spend_by_token_class, of charges that match any filters. Reads the charges themselves.
-- parameter organization String: whose spending
-- parameter start_ms Int64: from this instant, in UTC milliseconds
-- parameter end_ms Int64: until before this instant
-- parameter previous_start_ms Int64: the earlier period to compare with, over by `start_ms`; 0 for none
-- parameter previous_end_ms Int64: its end; 0 for none
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
    fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC') AS until,
    fromUnixTimestamp64Milli({previous_start_ms:Int64}, 'UTC') AS previous_since,
    fromUnixTimestamp64Milli({previous_end_ms:Int64}, 'UTC') AS previous_until
SELECT
    current,
    sum(parts.requests) AS requests,
    sum(parts.errors) AS errors,
    sum(parts.unpriced) AS unpriced,
    sum(parts.unconfirmed_nanousd) AS unconfirmed_nanousd,
    sum(parts.input_tokens) AS input_tokens,
    sum(parts.cache_read_tokens) AS cache_read_tokens,
    sum(parts.cache_write_tokens) AS cache_write_tokens,
    sum(parts.output_tokens) AS output_tokens,
    sum(parts.reasoning_tokens) AS reasoning_tokens,
    sum(parts.input_cost_nanousd) AS input_cost_nanousd,
    sum(parts.cache_read_cost_nanousd) AS cache_read_cost_nanousd,
    sum(parts.cache_write_cost_nanousd) AS cache_write_cost_nanousd,
    sum(parts.output_cost_nanousd) AS output_cost_nanousd,
    sum(cost) AS cost_nanousd
FROM
(
    SELECT
        charged_at >= since AS current,
        ifNull(charges.cost_nanousd, 0) AS cost, requests, if(status = 'ok', 0, requests) AS errors, unpriced,
        unconfirmed_nanousd, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens,
        input_cost_nanousd, cache_read_cost_nanousd, cache_write_cost_nanousd, output_cost_nanousd
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
GROUP BY current
ORDER BY current
-- example: {"organization": "acme", "start_ms": 1793505600000, "end_ms": 1796101200000, "previous_start_ms":
--   1790827200000, "previous_end_ms": 1793505600000, "projects": [], "teams": [], "providers": [], "models": [],
--   "users": ["user-7"], "statuses": [], "tag_names": [], "tag_values": [], "features": []}
