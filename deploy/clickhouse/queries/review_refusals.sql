-- review_refusals: what budgets did not let pass as it was asked for, by the budget that decided; denials first.
-- parameter organization String: whose requests
-- parameter project String: of this project only; empty for all
-- parameter team String: of this team of the project only; empty for all
-- parameter begin_ms Int64: from this instant, in UTC milliseconds
-- parameter end_ms Int64: until before this instant
-- parameter most UInt64: so many budgets and scopes at most
-- The budget is empty where a cap on single requests decided.
SELECT
    binding_budget AS budget,
    binding_scope AS scope,
    countIf(action = 'deny') AS denied,
    countIf(action = 'throttle') AS throttled,
    countIf(action = 'fallback') AS fallen_back,
    topK(1)(reason)[1] AS reason
FROM decisions
WHERE organization = {organization:String}
  AND ({project:String} = '' OR project = {project:String}) AND ({team:String} = '' OR team = {team:String})
  AND decided_at >= fromUnixTimestamp64Milli({begin_ms:Int64}) AND decided_at < fromUnixTimestamp64Milli({end_ms:Int64})
  AND action IN ('deny', 'throttle', 'fallback') AND NOT dry_run
GROUP BY budget, scope
ORDER BY denied DESC, throttled DESC, budget, scope
LIMIT {most:UInt64}
-- example: {"organization": "acme", "project": "", "team": "", "begin_ms": 1795410000000, "end_ms": 1796014800000,
--   "most": 50}
