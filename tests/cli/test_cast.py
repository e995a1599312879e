"""The rule that says who sent a request: seeded, documented, and the same whatever is replayed beside it."""

from __future__ import annotations

from collections import Counter

import pytest

from services.cli.cast import MODELS, PROJECTS, USERS, assign, users_of
from services.cli.trace import TraceRow


def rows(trace: str, count: int) -> list[TraceRow]:
    return [TraceRow(trace, number, number, 100, 10) for number in range(1, count + 1)]


def test_the_company_has_three_projects_six_teams_and_forty_users() -> None:
    assert len(PROJECTS) == 3
    assert len({team for project in PROJECTS for team in project.teams}) == 6
    members = [user for project in PROJECTS for user, _ in users_of(project)]
    assert sorted(members) == sorted(USERS)
    assert len(set(members)) == 40


def test_a_request_has_one_part_whatever_is_replayed_beside_it() -> None:
    whole = assign(rows("conv", 200), seed=7)
    assert assign(rows("conv", 200)[150:], seed=7) == whole[150:]
    assert assign(rows("conv", 200), seed=8) != whole


def test_users_belong_to_the_team_and_project_of_their_request() -> None:
    teams = {(user, team, project.name) for project in PROJECTS for user, team in users_of(project)}
    assert {(r.user, r.team, r.project) for r in assign(rows("any", 500), seed=1)} <= teams


def test_a_trace_is_played_by_those_whose_kind_it_is() -> None:
    played = {trace: Counter(r.project for r in assign(rows(trace, 1000), seed=1)) for trace in ("code", "conv", "x")}
    assert set(played["code"]) == {"copilot", "research"}
    assert set(played["conv"]) == {"assistant", "research"}
    assert set(played["x"]) == {"assistant", "copilot", "research"}
    assert 750 < played["code"]["copilot"] < 850


@pytest.mark.parametrize(("model", "provider"), [("gpt-4o-mini", "openai"), ("llama-9", None)])
def test_a_model_can_be_fixed_without_changing_anything_else(model: str, provider: str | None) -> None:
    mixed, fixed = assign(rows("code", 300), seed=3), assign(rows("code", 300), seed=3, model=model)
    assert {(r.model, r.provider) for r in fixed} == {(model, provider)}
    assert {r.model for r in mixed} <= set(MODELS)
    assert [(r.user, r.feature) for r in mixed] == [(r.user, r.feature) for r in fixed]


def test_names_tell_requests_apart() -> None:
    requests = assign([*rows("code", 50), *rows("conv", 50)], seed=1)
    assert len({request.name for request in requests}) == 100
