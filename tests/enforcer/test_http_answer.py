"""What each decision is over HTTP, and what a transport without its packages is."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

from services.adapters.keys import Role, new_key, write_keys
from services.core.decide import Action, Reason
from services.enforcer.app import build
from services.enforcer.gateway.headers import told
from services.enforcer.gateway.serving import MissingExtra
from services.enforcer.http_answer import is_refused, refused
from services.enforcer.settings import EnforcerSettings
from tests.enforcer.answers import asked, decision

DENIED = decision(action=Action.DENY, reason=Reason.BUDGET_EXCEEDED, message="no room", reservation=None)


def test_what_is_allowed_is_not_refused() -> None:
    assert not is_refused(decision())
    assert is_refused(DENIED)


@pytest.mark.parametrize("status", [402, 403, 429])
def test_a_denial_is_said_once_and_for_all(status: int) -> None:
    answer = refused(DENIED, status)
    assert (answer.status, answer.headers["x-should-retry"]) == (status, "false")
    assert "Retry-After" not in answer.headers
    error = {"type": "budget_exceeded", "code": "insufficient_quota", "message": "no room", "reason": "budget_exceeded"}
    assert msgspec.json.decode(answer.body) == {"error": error}
    assert msgspec.json.decode(refused(DENIED, status, b'{"decision":"dec-1"}').body) == {
        "error": error,
        "decision": "dec-1",
    }


@pytest.mark.parametrize("status", [402, 403, 429])
def test_a_throttle_says_when_to_come_again(status: int) -> None:
    throttled = decision(action=Action.THROTTLE, reason=Reason.PACED, retry_after_ms=1_001, reservation=None)
    answer = refused(throttled, status)
    assert (answer.status, answer.headers["Retry-After"], answer.headers["retry-after-ms"]) == (429, "2", "1001")
    assert msgspec.json.decode(answer.body)["error"]["type"] == "budget_throttled"


def test_what_is_not_known_may_be_known_in_a_second() -> None:
    unknown = decision(action=Action.DENY, reason=Reason.STATE_UNKNOWN, reservation=None)
    answer = refused(unknown, 402)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert msgspec.json.decode(answer.body)["error"]["type"] == "budget_state_unknown"


def test_a_fallback_is_told_as_the_model_to_use() -> None:
    fallen = decision(action=Action.FALLBACK, reason=Reason.FELL_BACK, model="gpt-4o-mini", requested_model="gpt-4o")
    assert not is_refused(fallen)
    found = told(fallen, asked())
    assert (found["x-budget-action"], found["x-budget-model"]) == ("fallback", "gpt-4o-mini")


def test_grpc_without_its_packages_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, record = new_key(Role.EDGE, "acme")
    write_keys(tmp_path / "keys.json", [record])
    monkeypatch.delitem(sys.modules, "services.enforcer.gateway.envoy_grpc", raising=False)
    monkeypatch.setitem(sys.modules, "grpc", None)
    settings = EnforcerSettings(keys_file=tmp_path / "keys.json", data_dir=tmp_path, grpc_port=1)
    with pytest.raises(MissingExtra, match=r"spendgate\[grpc\]"):
        build(settings)
