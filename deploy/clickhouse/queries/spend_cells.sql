-- spend_cells: spending by window and by some dimensions; a name is empty where there is none, or nobody asks for it.
-- parameter organization String: whose spending
-- parameter begin_ms Int64: from this instant, in UTC milliseconds
-- parameter end_ms Int64: until before this instant
-- parameter windows Array(Int64): when the windows begin, rising; the first is not after begin_ms
-- parameter dimensions Array(String): what is told apart: project, team, user, provider, model
-- parameter tags Array(String): the tags whose values are told apart
-- parameter most UInt64: so many rows at most
SELECT
    roundDown(toUnixTimestamp64Milli(charged_at), {windows:Array(Int64)}) AS window_ms,
    if(has({dimensions:Array(String)}, 'project'), toString(charges.project), '') AS project,
    if(has({dimensions:Array(String)}, 'team'), toString(charges.team), '') AS team,
    if(has({dimensions:Array(String)}, 'user'), charges.user, '') AS user,
    if(has({dimensions:Array(String)}, 'provider'), toString(charges.provider), '') AS provider,
    if(has({dimensions:Array(String)}, 'model'), toString(charges.model), '') AS model,
    if(empty({tags:Array(String)}), '{}',
       toJSONString(mapSort(mapFilter((key, value) -> has({tags:Array(String)}, key), charges.tags)))) AS tags,
    sum(ifNull(charges.cost_nanousd, 0)) AS cost_nanousd,
    sum(charges.requests) AS requests,
    sum(charges.unpriced) AS unpriced
FROM charges
WHERE organization = {organization:String}
  AND charged_at >= fromUnixTimestamp64Milli({begin_ms:Int64}) AND charged_at < fromUnixTimestamp64Milli({end_ms:Int64})
GROUP BY ALL
ORDER BY window_ms, project, team, user, provider, model, tags
LIMIT {most:UInt64}
-- example: {"organization": "acme", "begin_ms": 1793505600000, "end_ms": 1796097600000, "windows": [1793505600000],
--   "dimensions": ["project", "model"], "tags": ["feature"], "most": 100000}
