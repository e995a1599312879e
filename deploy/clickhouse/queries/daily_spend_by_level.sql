-- daily_spend_by_level: what an organization, its projects, teams and users spent on each day of its own calendar
-- parameter organization String: whose spending
-- parameter zone String: the time zone that its days begin in
-- parameter since DateTime64(3, 'UTC'): the instant to begin with, a midnight of that zone
-- parameter until DateTime64(3, 'UTC'): the instant to end before
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
      AND charged_at >= {since:DateTime64(3, 'UTC')} AND charged_at < {until:DateTime64(3, 'UTC')}
    GROUP BY GROUPING SETS ((day), (day, project), (day, project, team), (day, user))
    ORDER BY day
)
WHERE (level != 'project' OR project != '') AND (level != 'team' OR (project != '' AND team != ''))
  AND (level != 'user' OR user != '')
GROUP BY level, project, team, user
ORDER BY level, sum(nanousd) DESC, project, team, user
LIMIT {most:UInt32} BY level
-- example: organization = 'acme', zone = 'America/New_York', since = '2026-06-01 04:00:00',
-- example: until = '2026-12-01 05:00:00', most = 10000
