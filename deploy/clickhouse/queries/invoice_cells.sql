-- invoice_cells: what was charged by UTC day, provider and model: the days and models of a provider's invoice
-- parameter organization String: whose charges
-- parameter begin_ms Int64: from this instant, in UTC milliseconds
-- parameter end_ms Int64: until before this instant
SELECT
    toDate(charged_at, 'UTC') AS day,
    provider,
    model,
    sum(ifNull(charges.cost_nanousd, 0)) AS cost_nanousd,
    sum(charges.unpriced) AS unpriced
FROM charges
WHERE organization = {organization:String}
  AND charged_at >= fromUnixTimestamp64Milli({begin_ms:Int64}) AND charged_at < fromUnixTimestamp64Milli({end_ms:Int64})
GROUP BY day, provider, model
ORDER BY day, provider, model
-- example: {"organization": "acme", "begin_ms": 1793491200000, "end_ms": 1796083200000}
