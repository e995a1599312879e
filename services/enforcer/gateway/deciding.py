"""One ask of a gateway's, decided: what its client and its upstream are told."""

from __future__ import annotations

import msgspec

from services.adapters.answer import HttpAnswer
from services.adapters.keys import Principal
from services.core.ask import Ask
from services.core.decision import Decision
from services.enforcer.desk import Desk
from services.enforcer.gateway.headers import told
from services.enforcer.http_answer import is_refused, refused

_encode = msgspec.json.Encoder().encode


async def decided(desk: Desk, principal: Principal, ask: Ask, deny_status: int) -> HttpAnswer:
    """Decide, publish, and answer: 200, or what refuses the request. Raises `ApiError`."""
    decision = await desk.check_waiting(principal, ask)
    desk.publish(decision)
    headers = told(decision, ask)
    if not is_refused(decision):
        return HttpAnswer(200, headers)
    status, refusing, body = refused(decision, deny_status, _encode(_for_clients(decision)))
    return HttpAnswer(status, {**refusing, **headers}, body)


def _for_clients(decision: Decision) -> dict[str, object]:
    """What a client may know: the budgets are its organization's business, to be seen by `spendgate explain`."""
    return {"decision": decision.decision, "remedies": decision.remedies}
