-- focus_charges: the charges of a period by local day and by everything that a row of a FOCUS export tells apart.
-- parameter organization String: whose charges
-- parameter begin_ms Int64: from this instant, in UTC milliseconds
-- parameter end_ms Int64: until before this instant
-- parameter days Array(Int64): when the days of the period begin, rising; the first is not after begin_ms
-- parameter zone String: the time zone whose months are billed
-- parameter most UInt64: so many rows at most
-- A difference (an adjustment or a correction) is of the day of what it corrects; it also says when it was recorded.
SELECT
    roundDown(toUnixTimestamp64Milli(charged_at), {days:Array(Int64)}) AS day_ms,
    if(charges.kind IN ('adjustment', 'correction'), formatDateTime(recorded_at, '%Y-%m', {zone:String}), '')
        AS recorded_month,
    kind,
    charges.kind = 'usage' AND ifNull(charges.cost_nanousd = charges.input_cost_nanousd + charges.output_cost_nanousd
        + charges.cache_read_cost_nanousd + charges.cache_write_cost_nanousd, 0) AS split,
    isNotNull(charges.cost_nanousd) AS priced,
    organization, project, team, user, provider, model,
    toJSONString(mapSort(charges.tags)) AS tags,
    price_version,
    sum(ifNull(charges.cost_nanousd, 0)) AS cost_nanousd,
    sum(charges.requests) AS requests,
    sum(charges.unpriced) AS unpriced,
    sum(charges.input_tokens) AS input_tokens,
    sum(charges.output_tokens) AS output_tokens,
    sum(charges.cache_read_tokens) AS cache_read_tokens,
    sum(charges.cache_write_tokens) AS cache_write_tokens,
    sum(charges.input_cost_nanousd) AS input_cost_nanousd,
    sum(charges.output_cost_nanousd) AS output_cost_nanousd,
    sum(charges.cache_read_cost_nanousd) AS cache_read_cost_nanousd,
    sum(charges.cache_write_cost_nanousd) AS cache_write_cost_nanousd
FROM charges
WHERE organization = {organization:String}
  AND charged_at >= fromUnixTimestamp64Milli({begin_ms:Int64}) AND charged_at < fromUnixTimestamp64Milli({end_ms:Int64})
GROUP BY ALL
ORDER BY day_ms, project, team, user, provider, model, kind, tags, price_version, recorded_month, split, priced
LIMIT {most:UInt64}
-- example: {"organization": "acme", "begin_ms": 1795410000000, "end_ms": 1795582800000, "days": [1795410000000,
--   1795496400000], "zone": "America/New_York", "most": 100000}
