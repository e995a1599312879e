-- console_decisions: the last decisions that were kept, the latest first: refusals, warnings, and a sample of the rest.
-- parameter organizations Array(String): whose
-- parameter since_ms Int64: from this instant on, in milliseconds
-- parameter most UInt32: how many
SELECT
    decision, decided_at, organization, project, team, user, model, action, tier, reason, estimate_nanousd,
    binding_budget
FROM decisions
WHERE organization IN {organizations:Array(String)}
  AND decided_at >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')
ORDER BY decided_at DESC, decision DESC
LIMIT {most:UInt32}
-- example: {"organizations": ["acme"], "since_ms": 1793491200000, "most": 50}
