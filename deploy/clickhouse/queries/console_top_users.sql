-- console_top_users: who spent most in an organization, a project or a team since an instant, to the day in UTC.
-- parameter organization String: whose spending
-- parameter project String: only in this project; empty is all of them
-- parameter team String: only in this team; empty is all of them
-- parameter begin_ms Int64: from the UTC day of this instant on, in milliseconds
-- parameter most UInt32: how many users
SELECT
    user,
    sum(spent)            AS cost_nanousd,
    sum(asked)            AS requests,
    sum(unknown)          AS unpriced,
    argMax(model, spent)  AS dearest_model
FROM
(
    SELECT user, model, sum(cost_nanousd) AS spent, sum(requests) AS asked, sum(unpriced) AS unknown
    FROM spend_by_day_user
    WHERE organization = {organization:String}
      AND day >= toDate(fromUnixTimestamp64Milli({begin_ms:Int64}, 'UTC'))
      AND (project = {project:String} OR {project:String} = '')
      AND (team = {team:String} OR {team:String} = '')
    GROUP BY user, model
)
GROUP BY user
ORDER BY cost_nanousd DESC, user
LIMIT {most:UInt32}
-- example: {"organization": "acme", "project": "search", "team": "", "begin_ms": 1793491200000, "most": 12}
