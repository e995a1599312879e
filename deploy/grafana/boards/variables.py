"""The choices that several dashboards offer."""

from __future__ import annotations

from deploy.grafana.model import Variable
from deploy.grafana.sql import sql

NO_NAME = "(none)"
"""What is read where a charge has no project, team, user or tag."""

_ORGANIZATION = "SELECT DISTINCT toString(organization) AS organization FROM spend_by_hour ORDER BY organization"

ORGANIZATIONS = Variable("organization", "Organization", _ORGANIZATION, multi=True, everything=True)
ORGANIZATION = Variable("organization", "Organization", _ORGANIZATION)
PROJECTS = Variable(
    "project",
    "Project",
    sql("""
        SELECT toString(project) AS value, if(project = '', '(none)', toString(project)) AS text
        FROM spend_by_hour
        WHERE @chosen(organization)
          AND hour >= toStartOfHour($__fromTime, 'UTC')
          AND hour <= ($__toTime)
        GROUP BY project
        ORDER BY text
        LIMIT 1000
    """),
    multi=True,
    everything=True,
)
TAG = Variable(
    "tag",
    "Tag",
    sql("""
        SELECT toString(tag) AS tag
        FROM spend_by_day_tag
        WHERE @chosen(organization)
          AND day >= toDate($__fromTime, 'UTC')
          AND day <= toDate($__toTime, 'UTC')
        GROUP BY tag
        ORDER BY tag = 'feature' DESC, sum(cost_nanousd) DESC
        LIMIT 100
    """),
)
SCOPE = Variable(
    "scope",
    "Scope",
    sql("""
        SELECT scope
        FROM forecasts
        WHERE @chosen(organization)
        GROUP BY scope
        ORDER BY length(splitByChar('/', scope)), scope
        LIMIT 5000
    """),
)
PERIOD = Variable(
    "period",
    "Window",
    sql("""
        SELECT substringIndex(window, ':', 1) AS period
        FROM forecasts
        WHERE @chosen(organization) AND @chosen(scope)
        GROUP BY period
        ORDER BY period = 'month' DESC, period
    """),
)
BUDGETS = Variable(
    "budget",
    "Budget",
    sql("""
        SELECT budget
        FROM
        (
            SELECT arrayJoin(risk_budgets) AS budget
            FROM forecasts
            WHERE @chosen(organization) AND @chosen(scope)
            UNION ALL
            SELECT toString(budget) AS budget
            FROM alerts
            WHERE @chosen(organization) AND @chosen(scope)
        )
        GROUP BY budget
        ORDER BY budget
        LIMIT 1000
    """),
    multi=True,
    everything=True,
)
ZONE = Variable("zone", "Time zone of its months", default="UTC")
