"""The overview: where the money goes, per request and per name, and how full the budgets are."""

from __future__ import annotations

from deploy.grafana.boards.outlook import LATEST
from deploy.grafana.boards.variables import ORGANIZATIONS, PROJECTS, TAG
from deploy.grafana.model import ANY_IS_BAD, UTILIZATION, Column, Dashboard, Panel, Row, Sql
from deploy.grafana.sql import sql

_HOURS = "Whole hours, the one in which the range begins included."
_DAYS = "Whole days in UTC, the first and the last of the range included."
_CHARGED = """
FROM spend_by_hour
WHERE @chosen(organization) AND @chosen(project)
  AND hour >= toStartOfHour($__fromTime, 'UTC')
  AND hour <= ($__toTime)
"""


def _stat(title: str, says: str, select: str, *, usd: bool = False, alarms: bool = False, width: int = 4) -> Panel:
    return Panel(
        title,
        f"{says} {_HOURS}",
        "stat",
        (Sql(sql("SELECT @select @charged", select=select, charged=_CHARGED)),),
        width,
        height=4,
        unit="currencyUSD" if usd else "short",
        steps=ANY_IS_BAD if alarms else (),
    )


def _over_time(
    title: str, says: str, text: str, *, usd: bool = False, stacked: bool = True, width: int = 12, **parts: str
) -> Panel:
    return Panel(
        title,
        f"{says} {_HOURS}",
        "timeseries",
        (Sql(sql(text, charged=_CHARGED, **parts), "timeseries"),),
        width,
        unit="currencyUSD" if usd else "short",
        stacked=stacked,
        least_interval="1h",
        link="/",
    )


def _by_name(title: str, says: str, column: str) -> Panel:
    """A line each for the largest only: nobody reads a thousand, and no browser draws them."""
    text = """
        WITH
        (
            SELECT groupArray(name)
            FROM (SELECT @column AS name @charged GROUP BY name ORDER BY sum(cost_nanousd) DESC, name LIMIT 10)
        ) AS largest
        SELECT $__timeInterval(hour) AS time,
            multiIf(NOT has(largest, @column), '(others)', @column = '', '(none)', toString(@column)) AS name,
            @usd(sum(cost_nanousd)) AS spend
        @charged
        GROUP BY time, name
        ORDER BY time, name
    """
    return _over_time(title, says, text, usd=True, column=column)


def _top(title: str, says: str, text: str) -> Panel:
    money = (Column("spend", unit="currencyUSD", gauge=True), Column("per request", unit="currencyUSD", decimals=6))
    return Panel(title, f"{says} {_DAYS}", "table", (Sql(sql(text)),), 8, height=9, columns=money, link="/")


NUMBERS = Row(
    "In the chosen time",
    (
        _stat("Spend", "What was charged, corrections included.", "@usd(sum(cost_nanousd)) AS spend", usd=True),
        _stat("Requests", "Charged requests.", "sum(requests) AS requests"),
        _stat(
            "Cost per request",
            "Spend divided by requests; adjustments count as money, not as requests.",
            "@usd(sum(cost_nanousd)) / nullIf(sum(requests), 0) AS cost",
            usd=True,
        ),
        _stat(
            "Unpriced requests",
            "Requests of models whose price is unknown: the spend beside is at least what it says.",
            "sum(unpriced) AS unpriced",
            alarms=True,
        ),
        _stat(
            "Unconfirmed spend",
            "Reservations that nobody settled, charged at their estimate and not settled since: part of the spend.",
            "@usd(sum(unconfirmed_nanousd)) AS unconfirmed",
            usd=True,
            alarms=True,
        ),
        _stat("Failed requests", "Requests that ended in an error or were cancelled.", "sum(errors) AS failed"),
    ),
)
TIME = Row(
    "Over time",
    (
        _by_name(
            "Spend by project", "What each project was charged: the ten largest, and all others as one.", "project"
        ),
        _by_name("Spend by model", "What each model cost: the ten dearest, and all others as one.", "model"),
        _over_time(
            "Cost per request over time",
            "Spend divided by requests.",
            """
            SELECT $__timeInterval(hour) AS time,
                @usd(sum(cost_nanousd)) / nullIf(sum(requests), 0) AS `cost per request`
            @charged
            GROUP BY time ORDER BY time
            """,
            usd=True,
            stacked=False,
            width=8,
        ),
        _over_time(
            "Tokens over time",
            "By class. Cached tokens are part of the input, reasoning is part of the output.",
            """
            SELECT $__timeInterval(hour) AS time,
                sum(input_tokens - cache_read_tokens) AS `fresh input`, sum(cache_read_tokens) AS `cached input`,
                sum(output_tokens - reasoning_tokens) AS output, sum(reasoning_tokens) AS reasoning
            @charged
            GROUP BY time ORDER BY time
            """,
            width=8,
        ),
        _over_time(
            "Requests over time",
            "Charged requests, and those among them that failed or have no price.",
            """
            SELECT $__timeInterval(hour) AS time,
                sum(requests) AS total, sum(errors) AS failed, sum(unpriced) AS `without a price`
            @charged
            GROUP BY time ORDER BY time
            """,
            stacked=False,
            width=8,
        ),
    ),
)
NAMES = Row(
    "Who and what",
    (
        _top(
            "Top users",
            "The twenty that were charged most.",
            """
            SELECT if(user = '', '(none)', user) AS name, @usd(sum(cost_nanousd)) AS spend,
                sum(requests) AS calls, @usd(sum(cost_nanousd)) / nullIf(sum(requests), 0) AS `per request`
            FROM spend_by_day_user
            WHERE @chosen(organization) AND @chosen(project)
              AND day >= toDate($__fromTime, 'UTC')
              AND day <= toDate($__toTime, 'UTC')
            GROUP BY name
            ORDER BY spend DESC, name
            LIMIT 20
            """,
        ),
        _top(
            "Top models",
            "The twenty that cost most.",
            """
            SELECT toString(model) AS name, @usd(sum(cost_nanousd)) AS spend,
                sum(requests) AS calls, @usd(sum(cost_nanousd)) / nullIf(sum(requests), 0) AS `per request`
            FROM spend_by_hour
            WHERE @chosen(organization) AND @chosen(project)
              AND hour >= toDateTime(toDate($__fromTime, 'UTC'), 'UTC')
              AND hour < toDateTime(toDate($__toTime, 'UTC') + 1, 'UTC')
            GROUP BY name
            ORDER BY spend DESC, name
            LIMIT 20
            """,
        ),
        _top(
            "Top values of the tag",
            "The twenty values of the chosen tag that cost most, over all projects. Charges without it are not here.",
            """
            SELECT if(value = '', '(empty)', value) AS name, @usd(sum(cost_nanousd)) AS spend,
                sum(requests) AS calls, @usd(sum(cost_nanousd)) / nullIf(sum(requests), 0) AS `per request`
            FROM spend_by_day_tag
            WHERE @chosen(organization) AND @chosen(tag)
              AND day >= toDate($__fromTime, 'UTC')
              AND day <= toDate($__toTime, 'UTC')
            GROUP BY name
            ORDER BY spend DESC, name
            LIMIT 20
            """,
        ),
    ),
)
BUDGETS = Row(
    "Budgets",
    (
        Panel(
            "Utilization",
            "Every budget as of its latest forecast in the chosen time: what was settled by then, of its limit. "
            "The console has it to the second.",
            "table",
            (
                Sql(
                    sql(
                        """
                        SELECT toString(organization) AS org, budget, scope, toString(window) AS per, as_of,
                            @usd(spent_nanousd) AS settled, @usd(limit_nanousd) AS limit,
                            spent_nanousd / nullIf(limit_nanousd, 0) AS utilization,
                            total_nanousd / nullIf(limit_nanousd, 0) AS projected, chance AS `chance to exceed`
                        @latest
                        ARRAY JOIN risk_budgets AS budget, risk_limits AS limit_nanousd, risk_chances AS chance
                        ORDER BY utilization DESC, org, scope, budget
                        LIMIT 200
                    """,
                        latest=LATEST,
                    )
                ),
            ),
            24,
            height=10,
            columns=(
                Column("settled", unit="currencyUSD"),
                Column("limit", unit="currencyUSD"),
                Column("utilization", unit="percentunit", gauge=True, steps=UTILIZATION),
                Column("projected", unit="percentunit", steps=UTILIZATION),
                Column("chance to exceed", unit="percentunit"),
            ),
            link="/",
        ),
    ),
)

BOARD = Dashboard(
    "spendgate-overview",
    "Spendgate / Overview",
    "Where the money goes: by project, model, user and feature, per request, and how full the budgets are.",
    (NUMBERS, TIME, NAMES, BUDGETS),
    (ORGANIZATIONS, PROJECTS, TAG),
)
