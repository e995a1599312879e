"""A scope has one text, whatever its values contain, and the text gives the scope back."""

from __future__ import annotations

import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.scope import HIERARCHY, TAG, Level, ScopeError, level_of, parse_scope, scope_key

unicode_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
names = st.one_of(st.sampled_from([*HIERARCHY, "provider", "model"]), unicode_text.filter(bool).map(TAG.__add__))
scopes = st.dictionaries(names, unicode_text.filter(bool), min_size=1, max_size=8)


@given(scopes)
def test_a_scope_reads_back_as_it_was_written(dimensions: dict[str, str]) -> None:
    assert parse_scope(scope_key(dimensions)) == dimensions


@given(scopes, st.randoms(use_true_random=False))
def test_the_order_in_which_dimensions_are_given_does_not_matter(dimensions: dict[str, str], rnd: Random) -> None:
    shuffled = rnd.sample(sorted(dimensions.items()), len(dimensions))
    assert scope_key(dict(shuffled)) == scope_key(dimensions)


@given(scopes, scopes)
def test_different_scopes_have_different_texts(one: dict[str, str], other: dict[str, str]) -> None:
    assert (scope_key(one) == scope_key(other)) == (one == other)


@given(scopes)
def test_separators_only_ever_separate(dimensions: dict[str, str]) -> None:
    text = scope_key(dimensions)
    assert text.count("/") == len(dimensions) - 1
    assert text.count(":") == len(dimensions)
    assert "@" not in text
    assert re.fullmatch(r"[A-Za-z0-9%._~:/-]+", text)


def test_the_hierarchy_comes_first_then_the_rest_by_name() -> None:
    dimensions = {"tag.feature": "chat", "model": "gpt-4o", "user": "ada", "team": "ranking", "org": "acme"}
    dimensions |= {"provider": "openai", "project": "search", "tag.env": ""}
    assert scope_key(dimensions) == (
        "org:acme/project:search/team:ranking/user:ada/model:gpt-4o/provider:openai/tag.env:/tag.feature:chat"
    )


def test_values_are_percent_encoded() -> None:
    assert scope_key({"org": "a/b:c@d %é"}) == "org:a%2Fb%3Ac%40d%20%25%C3%A9"


def test_people_may_type_dimensions_in_any_order() -> None:
    assert list(parse_scope("team:ranking/org:acme/project:search")) == ["org", "project", "team"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "name:value"),
        ("acme", "name:value"),
        ("org:acme/", "name:value"),
        ("org:acme//user:ada", "name:value"),
        ("org:", "no value"),
        ("organization:acme", "not a dimension"),
        ("tag.:x", "not a dimension"),
        ("ORG:acme", "not a dimension"),
        ("org:acme/org:acme", "named twice"),
        ("org:acme/user:a@b", "percent-encoded"),
        ("org:acme@day:2026-11-24", "percent-encoded"),
        ("org:100%", "percent-encoded"),
        ("org:%zz", "percent-encoded"),
        ("org:%ff", "UTF-8"),
        ("org:%ed%a0%80", "UTF-8"),  # a lone surrogate
    ],
)
def test_what_is_not_a_scope_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(ScopeError, match=why):
        parse_scope(text)


@pytest.mark.parametrize(
    ("dimensions", "why"),
    [
        ({}, "at least one"),
        ({"org": ""}, "no value"),
        ({"organization": "acme"}, "not a dimension"),
        ({"org": "\ud800"}, "Unicode"),
        ({"tag.\ud800": "x"}, "Unicode"),
    ],
)
def test_what_cannot_be_a_scope_has_no_text(dimensions: dict[str, str], why: str) -> None:
    with pytest.raises(ScopeError, match=why):
        scope_key(dimensions)


@pytest.mark.parametrize(
    ("names", "level"),
    [
        ("org", Level.ORGANIZATION),
        ("org project", Level.PROJECT),
        ("org project team", Level.TEAM),
        ("org user", Level.USER),
        ("org team", Level.BUDGET),
        ("org project user", Level.BUDGET),
        ("project", Level.BUDGET),
        ("org model", Level.BUDGET),
        ("org tag.user", Level.BUDGET),
    ],
)
def test_four_scopes_are_levels_and_the_rest_are_budgets(names: str, level: Level) -> None:
    dimensions = dict.fromkeys(names.split(), "x")
    assert level_of(dimensions) is level
    assert level_of(scope_key(dimensions)) is level
