-- spend_cells: spending by window and by the dimensions that budgets name; what no budget names is left empty.
-- parameter organization String: whose spending
-- parameter begin_ms Int64: from this instant, in UTC milliseconds
-- parameter end_ms Int64: until before this instant
-- parameter windows Array(Int64): when the windows begin, rising; the first is not after begin_ms
-- parameter users Bool: whether users are told apart
-- parameter providers Bool: whether providers are
-- parameter models Bool: whether models are
-- parameter tags Array(String): the tags whose values are told apart
-- parameter most UInt64: so many rows at most
SELECT
    roundDown(toUnixTimestamp64Milli(charged_at), {windows:Array(Int64)}) AS window_ms,
    project,
    team,
    if({users:Bool}, charges.user, '') AS user,
    if({providers:Bool}, toString(charges.provider), '') AS provider,
    if({models:Bool}, toString(charges.model), '') AS model,
    toJSONString(mapSort(mapFilter((key, value) -> has({tags:Array(String)}, key), charges.tags))) AS tags,
    sum(ifNull(charges.cost_nanousd, 0)) AS cost_nanousd,
    sum(charges.requests) AS requests,
    sum(charges.unpriced) AS unpriced
FROM charges
WHERE organization = {organization:String}
  AND charged_at >= fromUnixTimestamp64Milli({begin_ms:Int64}) AND charged_at < fromUnixTimestamp64Milli({end_ms:Int64})
GROUP BY ALL
ORDER BY window_ms, project, team, user, provider, model, tags
LIMIT {most:UInt64}
-- example: organization = 'acme', begin_ms = 1793505600000, end_ms = 1796097600000, windows = [1793505600000],
--   users = false, providers = false, models = true, tags = ['feature'], most = 100000
