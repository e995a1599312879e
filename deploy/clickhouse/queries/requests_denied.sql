-- requests_denied: the requests of an organization that were denied in a stretch of time, oldest first, with what each
-- could have cost at most. Throttled ones are not among them: they come again, and are then made or denied.
-- parameter organization String: whose requests
-- parameter start_ms Int64: from this instant, in UTC milliseconds
-- parameter end_ms Int64: until before this instant
WITH
    fromUnixTimestamp64Milli({start_ms:Int64}, 'UTC') AS start,
    fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC') AS end
SELECT
    toUnixTimestamp64Milli(decided_at) AS at_ms,
    project, team, user, provider, model, priority,
    estimate_nanousd,
    JSONExtract(explanation, 'tags', 'Map(String, String)') AS tags,
    JSONExtractUInt(explanation, 'input_tokens') AS input_tokens,
    JSONExtractUInt(explanation, 'max_output_tokens') AS max_output_tokens
FROM decisions
WHERE organization = {organization:String} AND decided_at >= start AND decided_at < end
  AND action = 'deny' AND NOT dry_run
ORDER BY decided_at, decision
-- example: {"organization": "acme", "start_ms": 1795521600000, "end_ms": 1795525200000}
