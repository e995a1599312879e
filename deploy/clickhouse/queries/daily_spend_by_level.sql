-- daily_spend_by_level: what an organization, its projects, teams and users spent on each day of its own calendar
-- parameter organization String: whose spending
-- parameter zone String: the time zone that its days begin in
-- parameter since_ms Int64: the instant to begin with, a midnight of that zone, UTC milliseconds
-- parameter until_ms Int64: the instant to end before, UTC milliseconds
-- parameter most UInt32: scopes at most of each level, those who spent most first
SELECT level, project, team, user, groupArray(day) AS days, groupArray(nanousd) AS amounts
FROM
(
    SELECT multiIf(grouping(user) = 0, 'user', grouping(team) = 0, 'team', grouping(project) = 0, 'project',
                   'organization')         AS level,
           project, team, user,
           toDate(charged_at, {zone:String}) AS day,
           sum(ifNull(cost_nanousd, 0))      AS nanousd
    FROM charges
    WHERE organization = {organization:String}
      AND charged_at >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')
      AND charged_at < fromUnixTimestamp64Milli({until_ms:Int64}, 'UTC')
    GROUP BY GROUPING SETS ((day), (day, project), (day, project, team), (day, user))
    ORDER BY day
)
WHERE (level != 'project' OR project != '') AND (level != 'team' OR (project != '' AND team != ''))
  AND (level != 'user' OR user != '')
GROUP BY level, project, team, user
ORDER BY level, sum(nanousd) DESC, project, team, user
LIMIT {most:UInt32} BY level
-- example: {"organization": "acme", "zone": "America/New_York", "since_ms": 1780286400000, "until_ms": 1796101200000, "most": 10000}
