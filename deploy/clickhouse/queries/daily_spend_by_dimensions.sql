-- daily_spend_by_dimensions: what was spent on each day in the scopes of a budget, whatever dimensions it names
-- parameter organization String: whose spending
-- parameter zone String: the time zone that its days begin in
-- parameter since_ms Int64: the instant to begin with, a midnight of that zone, UTC milliseconds
-- parameter until_ms Int64: the instant to end before, UTC milliseconds
-- parameter dimensions Array(String): project, team, user, provider, model or tag.<key>
-- parameter wanted Array(String): the value of each dimension; * takes every one, each as a scope of its own
-- parameter most UInt32: scopes at most, those who spent most first
SELECT scope, groupArray(day) AS days, groupArray(nanousd) AS amounts
FROM
(
    SELECT arrayMap(d -> multiIf(d = 'project', toString(project), d = 'team', toString(team), d = 'user', user,
                                 d = 'provider', toString(provider), d = 'model', toString(model),
                                 tags[substring(d, 5)]), {dimensions:Array(String)}) AS scope,
           toDate(charged_at, {zone:String}) AS day,
           sum(ifNull(cost_nanousd, 0))      AS nanousd
    FROM charges
    WHERE organization = {organization:String}
      AND charged_at >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')
      AND charged_at < fromUnixTimestamp64Milli({until_ms:Int64}, 'UTC')
      AND arrayAll((d, v, w) -> (if(startsWith(d, 'tag.'), mapContains(tags, substring(d, 5)), v != ''))
                                AND (w = '*' OR v = w),
                   {dimensions:Array(String)}, scope, {wanted:Array(String)})
    GROUP BY scope, day
    ORDER BY day
)
GROUP BY scope
ORDER BY sum(nanousd) DESC, scope
LIMIT {most:UInt32}
-- example: {"organization": "acme", "zone": "America/New_York", "since_ms": 1780286400000, "until_ms": 1796101200000, "dimensions": ["model"], "wanted": ["gpt-4o"], "most": 1000}
