-- hourly_spend_by_level: what an organization, its projects, teams and users spent in each hour (UTC)
-- parameter organization String: whose spending
-- parameter since_ms Int64: the hour to begin with, UTC milliseconds
-- parameter until_ms Int64: the instant to end before, UTC milliseconds
-- parameter most UInt32: scopes at most of each level, those who spent most first
SELECT level, project, team, user, groupArray(hour_ms) AS hours, groupArray(nanousd) AS amounts
FROM
(
    SELECT multiIf(grouping(user) = 0, 'user', grouping(team) = 0, 'team', grouping(project) = 0, 'project',
                   'organization')                       AS level,
           project, team, user,
           toUnixTimestamp(toStartOfHour(charged_at)) * 1000 AS hour_ms,
           sum(ifNull(cost_nanousd, 0))                      AS nanousd
    FROM charges
    WHERE organization = {organization:String}
      AND charged_at >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')
      AND charged_at < fromUnixTimestamp64Milli({until_ms:Int64}, 'UTC')
    GROUP BY GROUPING SETS ((hour_ms), (hour_ms, project), (hour_ms, project, team), (hour_ms, user))
    ORDER BY hour_ms
)
WHERE (level != 'project' OR project != '') AND (level != 'team' OR (project != '' AND team != ''))
  AND (level != 'user' OR user != '')
GROUP BY level, project, team, user
ORDER BY level, sum(nanousd) DESC, project, team, user
LIMIT {most:UInt32} BY level
-- example: {"organization": "acme", "since_ms": 1795478400000, "until_ms": 1795564800000, "most": 1000}
