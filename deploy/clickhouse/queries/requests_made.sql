-- requests_made: the requests of an organization in a stretch of time as they are known by now, oldest first: what each
-- cost in the end, and, where its decision was kept, the model that was asked for and its priority. Corrections of
-- charges are not among them: they belong to no request that could have been decided otherwise.
-- parameter organization String: whose requests
-- parameter start_ms Int64: from this instant, in UTC milliseconds
-- parameter end_ms Int64: until before this instant
WITH
    fromUnixTimestamp64Milli({start_ms:Int64}, 'UTC') AS start,
    fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC') AS end
SELECT
    toUnixTimestamp64Milli(made.charged_at) AS at_ms,
    made.project AS project, made.team AS team, made.user AS user, made.provider AS provider, made.model AS model,
    made.tags AS tags,
    if(made.cost_nanousd IS NULL, NULL, made.cost_nanousd + settled.difference) AS cost_nanousd,
    made.input_tokens AS input_tokens, made.output_tokens AS output_tokens,
    made.cache_read_tokens AS cache_read_tokens, made.cache_write_tokens AS cache_write_tokens,
    made.reasoning_tokens AS reasoning_tokens,
    decided.requested AS requested, decided.priority AS priority
FROM charges AS made
LEFT JOIN
(
    SELECT reservation, sum(ifNull(cost_nanousd, 0)) AS difference
    FROM charges
    WHERE organization = {organization:String} AND charged_at >= start AND charged_at < end AND kind = 'adjustment'
    GROUP BY reservation
) AS settled ON settled.reservation = made.reservation
LEFT JOIN
(
    SELECT reservation, any(priority) AS priority, any(JSONExtractString(explanation, 'requested_model')) AS requested
    FROM decisions
    WHERE organization = {organization:String} AND decided_at >= start - INTERVAL 1 HOUR AND decided_at < end
      AND reservation != ''
    GROUP BY reservation
) AS decided ON decided.reservation = made.reservation
WHERE made.organization = {organization:String} AND made.charged_at >= start AND made.charged_at < end
  AND made.kind IN ('usage', 'unconfirmed')
ORDER BY made.charged_at, made.ledger_offset, made.ledger_index
-- example: {"organization": "acme", "start_ms": 1795521600000, "end_ms": 1795525200000}
