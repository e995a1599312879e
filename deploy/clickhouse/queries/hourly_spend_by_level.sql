-- hourly_spend_by_level: what an organization, its projects, teams and users spent in each hour (UTC)
-- parameter organization String: whose spending
-- parameter since DateTime64(3, 'UTC'): the hour to begin with
-- parameter until DateTime64(3, 'UTC'): the instant to end before
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
      AND charged_at >= {since:DateTime64(3, 'UTC')} AND charged_at < {until:DateTime64(3, 'UTC')}
    GROUP BY GROUPING SETS ((hour_ms), (hour_ms, project), (hour_ms, project, team), (hour_ms, user))
    ORDER BY hour_ms
)
WHERE (level != 'project' OR project != '') AND (level != 'team' OR (project != '' AND team != ''))
  AND (level != 'user' OR user != '')
GROUP BY level, project, team, user
ORDER BY level, sum(nanousd) DESC, project, team, user
LIMIT {most:UInt32} BY level
-- example: organization = 'acme', since = '2026-11-24 00:00:00', until = '2026-11-25 00:00:00', most = 1000
