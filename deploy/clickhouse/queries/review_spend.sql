-- review_spend: spending of a week and of the one before by project, team, user, model, feature and day, and in all.
-- parameter organization String: whose spending
-- parameter project String: of this project only; empty for all
-- parameter team String: of this team of the project only; empty for all
-- parameter begin_ms Int64: the week begins, in UTC milliseconds
-- parameter end_ms Int64: the week ends, or is now
-- parameter before_begin_ms Int64: the week before begins
-- parameter before_end_ms Int64: it ends, or as much of it has passed as of this week
-- parameter days Array(Int64): when the days of both weeks begin, rising
-- parameter feature String: the tag that names a feature
-- parameter most UInt64: so many names of each dimension, the largest first
-- The name is empty where a charge has none. `unconfirmed_nanousd`: charged at an estimate that nobody has settled since.
SELECT
    pair.1 AS dimension,
    pair.2 AS name,
    sumIf(cost, now) AS now_nanousd,
    sumIf(cost, NOT now) AS before_nanousd,
    sumIf(parts.requests, now) AS requests,
    sumIf(parts.requests, NOT now) AS requests_before,
    sumIf(parts.unpriced, now) AS unpriced,
    sumIf(estimate, now) AS unconfirmed_nanousd
FROM
(
    SELECT
        charged_at >= fromUnixTimestamp64Milli({begin_ms:Int64}) AS now,
        ifNull(cost_nanousd, 0) AS cost,
        requests,
        unpriced,
        if(kind = 'unconfirmed' AND reservation NOT IN
            (SELECT reservation FROM charges WHERE organization = {organization:String} AND kind = 'adjustment'),
            cost, 0) AS estimate,
        arrayJoin([
            ('total', ''),
            ('project', toString(project)),
            ('team', if(team = '', '', concat(project, '/', team))),
            ('user', user),
            ('model', toString(model)),
            ('feature', tags[{feature:String}]),
            ('day', toString(roundDown(toUnixTimestamp64Milli(charged_at), {days:Array(Int64)})))
        ]) AS pair
    FROM charges
    WHERE organization = {organization:String}
      AND ({project:String} = '' OR project = {project:String}) AND ({team:String} = '' OR team = {team:String})
      AND charged_at >= fromUnixTimestamp64Milli({before_begin_ms:Int64})
      AND charged_at < fromUnixTimestamp64Milli({end_ms:Int64})
      AND (charged_at < fromUnixTimestamp64Milli({before_end_ms:Int64})
        OR charged_at >= fromUnixTimestamp64Milli({begin_ms:Int64}))
) AS parts
GROUP BY dimension, name
ORDER BY dimension, greatest(now_nanousd, before_nanousd) DESC, name
LIMIT {most:UInt64} BY dimension
-- example: {"organization": "acme", "project": "", "team": "", "begin_ms": 1795410000000, "end_ms": 1796014800000,
--   "before_begin_ms": 1794805200000, "before_end_ms": 1795410000000, "days": [1794805200000, 1794891600000,
--   1794978000000, 1795064400000, 1795150800000, 1795237200000, 1795323600000, 1795410000000, 1795496400000,
--   1795582800000, 1795669200000, 1795755600000, 1795842000000, 1795928400000], "feature": "feature", "most": 1000}
