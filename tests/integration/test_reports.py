"""Governance reports on the real engine: exact sums, tenants apart, hostile names harmless, written once."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import pytest

from deploy.local.clickhouse.program import ClickHouse
from deploy.local.ports import free_port
from schemas.policy import Policy
from services.adapters.clickhouse import open_async_client
from services.adapters.keys import Keyring, Role, new_key
from services.adapters.metrics import Metrics
from services.adapters.migrations import migrate, read_migrations
from services.adapters.settings import Settings
from services.adapters.warehouse.named import query, sql
from services.adapters.warehouse.rows import Rows
from services.adapters.web import Readiness, create_app, listening
from services.console.report_routes import OPENAPI, ReportRoutes
from services.console.reports import render
from services.console.reports.desk import FORMATS, KINDS, Desk, OrderError
from services.console.reports.part import ReportPart
from services.console.reports.schedule import Schedule
from services.core.events import to_ms
from services.core.governance.accountability import Account
from services.core.governance.planning import Plan
from services.core.governance.review import Review
from services.core.money import NANOS_PER_USD, parse_usd
from services.core.outcomes import Charge
from services.sink.__main__ import MIGRATIONS
from tests.integration.charging import insert, numbered
from tests.integration.company import HOSTILE, charge, policy, settle_in
from tests.integration.sinking import eventually

NEW_YORK = ZoneInfo("America/New_York")
NOW_MS = to_ms(datetime(2026, 11, 30, 12, tzinfo=UTC))
ANSWER = aiohttp.ClientTimeout(total=60)
WEEKS = ["2026-W44", "2026-W45", "2026-W46", "2026-W47", "2026-W48"]


def ms(*when: int) -> int:
    """An instant of New York's clocks."""
    return to_ms(datetime(*when, tzinfo=NEW_YORK))  # type: ignore[misc,arg-type]


@dataclass
class Company:
    """The company in a database of its own."""

    address: str
    rows: Rows
    made: Sequence[Charge]
    desk: Desk

    def between(self, begin_ms: int, end_ms: int) -> list[Charge]:
        """Its charges of a period."""
        return [c for c in self.made if begin_ms <= c.charged_at_ms < end_ms]


@pytest.fixture
async def rows(clickhouse: str) -> AsyncIterator[Rows]:
    """An empty database to ask."""
    migrate(clickhouse, read_migrations(MIGRATIONS))
    client = await open_async_client(clickhouse)
    yield partial(query, client)
    await client.close()


@asynccontextmanager
async def settled(address: str) -> AsyncIterator[Company]:
    """The company, in an empty database."""
    migrate(address, read_migrations(MIGRATIONS))
    client = await open_async_client(address)
    made = await settle_in(address, client)
    asked = partial(query, client)
    yield Company(address, asked, made, Desk(asked, {"acme": policy()}, lambda: NOW_MS))
    await client.close()


@pytest.fixture(scope="module")
async def company(clickhouse_server: ClickHouse) -> AsyncIterator[Company]:
    """The company as it is: for tests that only look."""
    admin = await open_async_client(clickhouse_server.address("default"))
    await admin.command("CREATE DATABASE company")
    async with settled(clickhouse_server.address("company")) as found:
        yield found
    await admin.command("DROP DATABASE company")
    await admin.close()


@pytest.fixture
async def changing(clickhouse: str) -> AsyncIterator[Company]:
    """A company of the test's own."""
    async with settled(clickhouse) as found:
        yield found


def cost(found: Sequence[Charge]) -> int:
    return sum(c.cost_nanousd or 0 for c in found)


async def review_of(company: Company, period: str | None = None, team: str | None = None) -> Review:
    found = (await company.desk.report("weekly", "acme", period, team)).data
    assert isinstance(found, Review)
    return found


async def test_a_review_says_what_the_charges_say_to_the_nano_dollar(company: Company) -> None:
    found = await review_of(company)
    week = company.between(ms(2026, 11, 23), ms(2026, 11, 30))
    before = company.between(ms(2026, 11, 16), ms(2026, 11, 23))
    assert found.period == "2026-W48"
    assert (found.total.now_nanousd, found.total.before_nanousd) == (cost(week), cost(before))
    assert (found.total.requests, found.total.unpriced) == (sum(c.requests for c in week), 3)
    assert found.total.unconfirmed_nanousd == 777_000_003, "what has been settled since is not unconfirmed"
    assert sum(day.now_nanousd for day in found.days) == cost(week)
    for breakdown in found.breakdowns:
        assert sum(line.now_nanousd for line in breakdown.lines) + breakdown.others_now_nanousd == cost(week)
    by_user = Counter[str]()
    for c in week:
        by_user[c.user or ""] += c.cost_nanousd or 0
    users = next(each for each in found.breakdowns if each.dimension == "user")
    assert {line.name: line.now_nanousd for line in users.lines} == dict(by_user)
    assert {s.dimension: s.now_nanousd for s in found.unowned} == {
        "project": cost([c for c in week if not c.project]),
        "team": cost([c for c in week if not c.team]),
        "user": cost([c for c in week if not c.user]),
    }


async def test_a_review_names_what_moved_what_is_at_risk_and_what_was_refused(company: Company) -> None:
    found = await review_of(company)
    assert ("user", "bob") in [(mover.dimension, mover.name) for mover in found.movers]
    sure = {risk.budget for risk in found.risks if risk.probability == 1}
    assert {"ranking-month", "each-user-day"} <= sure
    likely = next(risk for risk in found.risks if risk.budget == "company-month")
    assert (likely.probability, likely.outlook and likely.outlook.exhausted_on) == (0.62, date(2026, 11, 30))
    assert likely.use is not None
    assert likely.use.spent_nanousd == cost(company.between(ms(2026, 11, 1), ms(2026, 11, 30)))
    assert [(o.kind, o.contributors) for o in found.oddities] == [
        ("spike", ("user bob (+$171.00)", "model gpt-4o (+$171.00)"))
    ]
    refused = [(r.budget, r.denied, r.throttled) for r in found.refusals]
    assert refused == [("ranking-month", 41, 0), ("company-month", 0, 7)]
    assert found.actions


async def test_a_team_is_reviewed_by_itself(company: Company) -> None:
    found = await review_of(company, "2026-W48", "search/ranking")
    week = [c for c in company.between(ms(2026, 11, 23), ms(2026, 11, 30)) if c.team == "ranking"]
    assert found.total.now_nanousd == cost(week)
    assert [breakdown.dimension for breakdown in found.breakdowns] == ["user", "model", "feature"]
    assert {use.budget for use in found.uses} == {"search-month", "ranking-month"}
    assert [refusal.budget for refusal in found.refusals] == ["ranking-month"]


async def test_a_week_that_runs_is_compared_with_as_much_of_the_one_before(company: Company) -> None:
    now_ms = ms(2026, 11, 26, 12)
    desk = Desk(company.rows, {"acme": policy()}, lambda: now_ms)
    found = (await desk.report("weekly", "acme", "2026-W48")).data
    assert found.partial
    assert found.total.now_nanousd == cost(company.between(ms(2026, 11, 23), now_ms))
    assert found.total.before_nanousd == cost(company.between(ms(2026, 11, 16), ms(2026, 11, 19, 12)))


async def test_the_week_in_which_clocks_change_is_new_yorks_and_has_all_its_169_hours(
    clickhouse: str, rows: Rows
) -> None:
    begin_ms, end_ms = ms(2026, 10, 26), ms(2026, 11, 2)
    assert end_ms - begin_ms == 169 * 3_600_000
    edges = [begin_ms - 1, begin_ms, end_ms - 1, end_ms, ms(2026, 11, 1, 1), ms(2026, 11, 1, 1) + 3_600_000]
    made = numbered("acme", [charge(at, 10**n) for n, at in enumerate(edges)])
    await insert(clickhouse, made)
    desk = Desk(rows, {"acme": policy()}, lambda: NOW_MS)
    found = (await desk.report("weekly", "acme", "2026-W44")).data
    assert (found.total.now_nanousd, found.total.before_nanousd) == (110_110, 1)
    sunday = next(day for day in found.days if int(day.name) == ms(2026, 11, 1))
    assert sunday.now_nanousd == 110_100, "its 25 hours are one day"
    utc = Desk(rows, {}, lambda: NOW_MS)
    assert (await utc.report("weekly", "acme", "2026-W44")).data.total.now_nanousd == 110_011


async def test_an_account_adds_up_exactly_and_names_who_answers(company: Company) -> None:
    account = (await company.desk.report("accountability", "acme", "2026-11")).data
    assert isinstance(account, Account)
    month = company.between(ms(2026, 11, 1), ms(2026, 12, 1))
    assert account.total_nanousd == cost(month)
    assert sum(line.total_nanousd for line in account.charged) == cost(month)
    assert {(line.project, line.team): line.direct_nanousd for line in account.charged} == {
        (project, team): cost([c for c in month if (c.project, c.team) == (project, team)])
        for project, team in (("search", "ranking"), ("search", "index"), ("chat", "support"))
    }
    uses = {(use.budget, use.scope): use for use in account.uses}
    month_use = uses["search-month", "org:acme/project:search"]
    assert month_use.spent_nanousd == cost([c for c in month if c.project == "search"])
    assert month_use.owners == ("sam@acme.example", "https://hooks.example")
    answers = uses["answers-month", "org:acme/tag.feature:answers"]
    assert answers.spent_nanousd == cost([c for c in month if c.tags.get("feature") == "answers"])
    alice = [c for c in month if c.user == "alice"]
    days = Counter[date]()
    for c in alice:
        days[datetime.fromtimestamp(c.charged_at_ms / 1000, NEW_YORK).date()] += c.cost_nanousd or 0
    assert uses["alice-day", "org:acme/user:alice"].spent_nanousd == max(days.values())
    assert not any(use.budget == "each-user-day" and use.scope.endswith("alice") for use in account.uses)
    week_use = uses["gpt-4o-week", "org:acme/model:gpt-4o"]
    weekly = [c for c in company.between(ms(2026, 11, 23), ms(2026, 11, 30)) if c.model == "gpt-4o"]
    assert (week_use.window, week_use.spent_nanousd) == ("week:2026-W48", cost(weekly))


async def test_a_plan_shows_the_months_and_proposes_budgets(company: Company) -> None:
    plan = (await company.desk.report("quarterly", "acme")).data
    assert isinstance(plan, Plan)
    assert (plan.period, plan.horizon.quarter, plan.horizon.month_days) == ("2026-Q4", "2027-Q1", (31, 28, 31))
    months = {month.month: month for month in plan.total.months}
    assert list(months) == [f"2026-{n:02}" for n in range(6, 12)]
    assert months["2026-10"].amount_nanousd == cost(company.between(ms(2026, 10, 1), ms(2026, 11, 1)))
    assert (months["2026-10"].days, months["2026-11"].whole) == (31.0, False)
    children = [each for each in plan.scopes if each.scope.count("/") == 1]
    assert sum(each.projection.expected_nanousd for each in children) == plan.total.projection.expected_nanousd
    assert plan.total.projection.method.startswith("plain damped trend")
    assert {each.budget for each in plan.proposals} >= {"company-month", "search-month", "ranking-month"}


async def test_a_plan_believes_the_forecaster_where_it_has_spoken(changing: Company) -> None:
    client = await open_async_client(changing.address)
    row = {
        "forecast": "f", "organization": "acme", "scope": "org:acme", "window": "quarter:2027-Q1",
        "as_of": date(2026, 11, 29), "begins": date(2027, 1, 1), "ends": date(2027, 4, 1), "spent_nanousd": 0,
        "total_nanousd": 9_000 * NANOS_PER_USD, "low_nanousd": 8_000 * NANOS_PER_USD,
        "high_nanousd": 9_900 * NANOS_PER_USD, "made_at": datetime(2026, 11, 29, tzinfo=UTC),
    }  # fmt: skip
    await client.insert("forecasts", [list(row.values())], column_names=list(row))
    await client.close()
    plan = (await changing.desk.report("quarterly", "acme")).data
    assert (plan.total.projection.method, plan.total.projection.expected_nanousd) == (
        "forecaster",
        9_000 * NANOS_PER_USD,
    )


class Page(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.text = Counter[str](), ""
        self.attributes: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [name for name, _ in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


async def test_a_hostile_name_is_text_in_html_and_one_cell_in_markdown(company: Company) -> None:
    report = await company.desk.report("weekly", "acme")
    page = Page(report.rendered("html"))
    assert page.tags["script"] == 0
    assert HOSTILE in page.text
    assert not [name for name in page.attributes if name.startswith("on")]
    assert not re.search(r"(src|href)=", report.rendered("html")), "nothing is loaded from anywhere"
    lines = report.rendered("md").splitlines()
    tables = [line for line in lines if line.startswith("|")]
    for line, following in pairwise(lines):
        if line.startswith("|") and following.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) == len(re.findall(r"(?<!\\)\|", following)), line
    assert any(r"\<script\>alert(1)\</script\>\|" in line for line in tables)
    assert "<script" not in "".join(lines).replace(r"\<script", "")


async def test_each_form_tells_the_same(company: Company) -> None:
    for kind in KINDS:
        report = await company.desk.report(kind, "acme", "2026-11" if kind == "accountability" else None)
        data = json.loads(report.rendered("json"))
        assert (data["report"], data["version"], data["organization"]) == (kind, 1, "acme")
        page, text = Page(report.rendered("html")), report.rendered("md")
        for said in [fact.value for fact in report.document.facts] + [part.title for part in report.document.sections]:
            assert said in page.text
            assert said in text
        for section in report.document.sections:
            for row in section.table.rows if section.table else ():
                assert all(cell.text in page.text for cell in row)


async def test_an_organization_without_a_policy_or_spending_gets_an_honest_empty_report(company: Company) -> None:
    for kind in KINDS:
        report = await company.desk.report(kind, "nobody")
        for form in FORMATS:
            assert "acme" not in report.rendered(form)
    text = (await company.desk.report("weekly", "nobody")).rendered("md")
    assert "Nothing was charged in this week." in text
    assert "Nothing needs a decision this week." in text


@pytest.mark.parametrize(
    ("kind", "period", "team", "field"),
    [
        ("weekly", "2026-11", None, "period"),
        ("weekly", "2027-W01", None, "period"),
        ("weekly", "2026-W99", None, "period"),
        ("weekly", None, "ranking", "team"),
        ("quarterly", None, "search/ranking", "team"),
        ("accountability", "2026-Q4", None, "period"),
    ],
)
async def test_what_cannot_be_ordered_is_refused_by_field(
    rows: Rows, kind: Any, period: str | None, team: str | None, field: str
) -> None:
    with pytest.raises(OrderError) as refused:
        await Desk(rows, {"acme": policy()}, lambda: NOW_MS).report(kind, "acme", period, team)
    assert refused.value.field == field


async def test_reports_are_written_once_by_monday_and_those_missed_are_made_up_for(
    company: Company, tmp_path: Path
) -> None:
    now_ms = ms(2026, 11, 30, 5, 59)
    policies = {"acme": policy()}
    desk = Desk(company.rows, policies, lambda: now_ms)
    schedule = Schedule(desk, policies, tmp_path, lambda: now_ms)
    assert await schedule.write_due()
    weekly = tmp_path / "acme" / "weekly"
    written = {path.name for path in weekly.iterdir() if path.name.count(".") == 1}
    assert written == {f"{week}.{form}" for week in WEEKS[:-1] for form in ("html", "md", "json")}
    assert (tmp_path / "acme" / "accountability" / "2026-10.json").exists()
    teams = {path.name for path in weekly.glob("2026-W47.*.json")}
    assert teams == {f"2026-W47.{name}.json" for name in ("chat%2Fsupport", "search%2Findex", "search%2Franking")}
    stamps = {path: path.stat().st_mtime_ns for path in weekly.iterdir()}
    now_ms = ms(2026, 11, 30, 6)
    assert await schedule.write_due()
    assert (weekly / "2026-W48.json").exists()
    again = {path: path.stat().st_mtime_ns for path in weekly.iterdir() if not path.name.startswith("2026-W48")}
    assert again == stamps, "nothing is written twice"
    data = json.loads((weekly / "2026-W48.json").read_text())
    assert parse_usd(data["total"]["now_usd"]) == cost(company.between(ms(2026, 11, 23), ms(2026, 11, 30)))
    (weekly / "2026-W48.json").unlink()
    before = (weekly / "2026-W48.html").read_text()
    assert await schedule.write_due()
    assert (weekly / "2026-W48.html").read_text() == before, "made again, it is the same"


async def test_a_report_that_cannot_be_made_is_late_and_not_lost(changing: Company, tmp_path: Path) -> None:
    policies = {"acme": policy()}
    gone = await open_async_client(changing.address)
    await gone.command("RENAME TABLE charges TO hidden")
    schedule = Schedule(changing.desk, policies, tmp_path, lambda: NOW_MS)
    assert not await schedule.write_due()
    assert not list(tmp_path.rglob("*.json"))
    await gone.command("RENAME TABLE hidden TO charges")
    await gone.close()
    assert await schedule.write_due()
    assert (tmp_path / "acme" / "weekly" / "2026-W48.json").exists()


async def test_the_console_writes_what_is_due_while_it_serves(company: Company, tmp_path: Path) -> None:
    app = create_app(
        "console",
        keyring=Keyring.of([]),
        readiness=lambda: Readiness(True),
        openapi={},
        metrics=Metrics(),
        max_body_bytes=1 << 20,
    )
    ReportPart(company.rows, {"acme": policy()}, tmp_path, lambda: NOW_MS).add(app)
    last = tmp_path / "reports" / "acme" / "weekly" / "2026-W48.json"

    async def written() -> bool:
        return last.exists()

    async def describe() -> str:
        return str(sorted(tmp_path.rglob("*")))

    async with listening(app, Settings(port=free_port(), data_dir=tmp_path)):
        await eventually(written, describe)
    assert parse_usd(json.loads(last.read_text())["total"]["now_usd"]) > 0
    assert not list(tmp_path.rglob("*.new"))


def test_no_name_of_an_organization_leads_out_of_the_folder(rows: Rows, tmp_path: Path) -> None:
    schedule = Schedule(Desk(rows, {}, lambda: NOW_MS), {}, tmp_path, lambda: NOW_MS)
    for name in ("..", "../../etc", "/etc/passwd", ".", "a" * 256, "é" * 256):
        path = schedule.path(name, "weekly", "2026-W48", "html", team="../x")
        assert path.parent.parent.parent == tmp_path
        assert path.resolve().is_relative_to(tmp_path.resolve())
        assert max(len(part) for part in path.parts) < 255


@dataclass
class House:
    """The console's report routes, with keys of two organizations."""

    url: str
    tokens: dict[str, str]

    async def get(self, path: str, key: str | None = "acme", **query: str) -> tuple[int, str, aiohttp.ClientResponse]:
        headers = {} if key is None else {"Authorization": f"Bearer {self.tokens[key]}"}
        async with (
            aiohttp.ClientSession(timeout=ANSWER, headers=headers) as session,
            session.get(self.url + path, params=query) as response,
        ):
            return response.status, (await response.read()).decode("utf-8", "replace"), response


PATHS = ["/v1/reports/weekly", "/v1/reports/quarterly", "/v1/reports/accountability", "/v1/focus"]


@pytest.fixture
async def house(company: Company, tmp_path: Path) -> AsyncIterator[House]:
    tokens, records = {}, []
    for name, role, organization in (
        ("acme", Role.VIEWER, "acme"),
        ("globex", Role.VIEWER, "globex"),
        ("edge", Role.EDGE, "acme"),
        ("admin", Role.ADMIN, "*"),
    ):
        tokens[name], record = new_key(role, organization)
        records.append(record)
    app = create_app(
        "console",
        keyring=Keyring.of(records),
        readiness=lambda: Readiness(True),
        openapi={},
        metrics=Metrics(),
        max_body_bytes=1 << 20,
    )
    policies: dict[str, Policy] = {"acme": policy()}
    ReportRoutes(company.rows, policies, lambda: NOW_MS).add(app)
    async with listening(app, Settings(port=free_port(), data_dir=tmp_path)) as port:
        yield House(f"http://127.0.0.1:{port}", tokens)


@pytest.mark.parametrize("path", PATHS)
async def test_a_viewer_reads_its_own_organization_only(house: House, path: str) -> None:
    status, own, _ = await house.get(path)
    assert status == 200
    status, theirs, _ = await house.get(path, "globex")
    assert status == 200
    assert "acme" not in theirs
    assert own != theirs
    for key, organization, expected in (
        ("globex", "acme", 403),
        ("acme", "globex", 403),
        ("edge", "acme", 403),
        ("admin", "globex", 200),
    ):
        status, body, _ = await house.get(path, key, organization=organization)
        assert status == expected, (key, organization)
        if expected == 403:
            assert "search" not in body
    assert (await house.get(path, None))[0] == 401
    status, body, _ = await house.get(path, "admin")
    assert (status, json.loads(body)["error"]["field"]) == (422, "organization")


async def test_reports_come_in_each_form_and_may_not_run_scripts(house: House) -> None:
    for form, media in render.MEDIA.items():
        status, body, response = await house.get("/v1/reports/weekly", format=form, period="2026-W48")
        assert (status, response.content_type) == (200, media)
        assert "779" in body or form == "json"
        assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert response.headers["Cache-Control"] == "private, no-store"
        assert f'filename="acme-weekly-2026-W48.{form}"' in response.headers["Content-Disposition"]
    status, body, _ = await house.get("/v1/reports/weekly", team="search/ranking", format="json")
    assert json.loads(body)["team"] == "search/ranking"


async def test_the_focus_export_adds_up_over_http(house: House, company: Company) -> None:
    status, body, response = await house.get("/v1/focus", period="2026-11")
    assert (status, response.content_type) == (200, "text/csv")
    header, *lines = body.splitlines()
    assert header.startswith("BilledCost,")
    billed = sum(parse_usd(line.split(",", 1)[0]) for line in lines)
    assert billed == cost(company.between(ms(2026, 11, 1), ms(2026, 12, 1)))
    status, body, _ = await house.get("/v1/focus", period="2026-11", format="parquet")
    assert body.startswith("PAR1")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"period": "yesterday"}, "period"),
        ({"format": "pdf"}, "format"),
        ({"colour": "red"}, "colour"),
        ({"period": "9" * 601}, "period"),
    ],
)
async def test_what_is_said_wrongly_is_refused_by_name(
    house: House, path: str, said: dict[str, str], field: str
) -> None:
    status, body, _ = await house.get(path, **said)
    assert (status, json.loads(body)["error"]["field"]) == (422, field)


def test_every_route_is_documented_with_its_parameters() -> None:
    assert sorted(OPENAPI) == sorted(PATHS)
    for item in OPENAPI.values():
        assert {"organization", "period", "format"} <= {parameter["name"] for parameter in item["get"]["parameters"]}
        assert item["get"]["tags"] == ["reports"]


NAMED = ["review_spend", "review_refusals", "review_anomalies", "latest_forecasts", "spend_cells", "focus_charges"]


@pytest.mark.parametrize("name", NAMED)
async def test_a_query_says_what_it_answers_its_parameters_and_an_example_that_runs(
    company: Company, name: str
) -> None:
    text = sql(name)
    assert text.startswith(f"-- {name}: ")
    said = re.findall(r"^-- parameter (\w+) (\S+): .+$", text, re.MULTILINE)
    used = set(re.findall(r"\{(\w+):([^}]+)\}", text))
    assert set(said) == used
    assert "organization" in {parameter for parameter, _ in said}
    example = json.loads(text[text.index("-- example: ") :].removeprefix("-- example: ").replace("\n--", " "))
    assert set(example) == {parameter for parameter, _ in said}
    client = await open_async_client(company.address)
    assert await query(client, name, **example) is not None, "it can be pasted and run"
    await client.close()
