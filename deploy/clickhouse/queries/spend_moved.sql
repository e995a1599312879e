-- spend_moved: which users, models and features spent more in some hours than in the same hours of the days before
-- parameter organization String: whose spending
-- parameter project String: only this project; empty for all
-- parameter team String: only this team; empty for all
-- parameter user String: only this user; empty for all
-- parameter before_ms Int64: where the days before begin, UTC milliseconds
-- parameter since_ms Int64: where the hours in question begin, UTC milliseconds
-- parameter until_ms Int64: the instant they end before, UTC milliseconds
-- parameter hours Array(UInt8): the hours of the day (UTC) that they cover
-- parameter most UInt32: values at most of each dimension, those that moved most first
SELECT dimension, value,
       sumIf(nanousd, recent)     AS observed_nanousd,
       sumIf(nanousd, NOT recent) AS before_nanousd
FROM
(
    SELECT user AS spender, toString(model) AS used, tags['feature'] AS feature,
           charged_at >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC') AS recent,
           sum(ifNull(cost_nanousd, 0))               AS nanousd
    FROM charges
    WHERE organization = {organization:String}
      AND charged_at >= fromUnixTimestamp64Milli({before_ms:Int64}, 'UTC')
      AND charged_at < fromUnixTimestamp64Milli({until_ms:Int64}, 'UTC')
      AND (charged_at >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')
           OR has({hours:Array(UInt8)}, toHour(charged_at, 'UTC')))
      AND ({project:String} = '' OR project = {project:String})
      AND ({team:String} = '' OR team = {team:String})
      AND ({user:String} = '' OR charges.user = {user:String})
    GROUP BY spender, used, feature, recent
)
ARRAY JOIN ['user', 'model', 'tag.feature'] AS dimension, [spender, used, feature] AS value
WHERE value != ''
GROUP BY dimension, value
ORDER BY dimension, abs(observed_nanousd * 7 - before_nanousd) DESC, value
LIMIT {most:UInt32} BY dimension
-- example: {"organization": "acme", "project": "", "team": "", "user": "", "before_ms": 1794916800000, "since_ms": 1795521600000, "until_ms": 1795525200000, "hours": [12], "most": 100}
