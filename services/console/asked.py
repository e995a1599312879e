"""What a request to the API asks for: parameters that its route knows, each once, and an organization of its own."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from aiohttp import web

from services.adapters.keys import ANY_ORGANIZATION, Principal
from services.adapters.web import require_organization
from services.adapters.web_errors import ApiError

ORGANIZATION_MAX: Final = 256


def parameters(
    request: web.Request, known: Collection[str], *, repeated: Collection[str] = (), longest: int | None = None
) -> dict[str, str]:
    """The query of a request; `repeated` may be given several times. Raises `ApiError` 422 for any other."""
    for name in request.query:
        if name not in known:
            raise ApiError(422, "unknown_parameter", f"there is: {', '.join(known)}", field=name[:80])
        if name not in repeated and len(request.query.getall(name)) > 1:
            raise ApiError(422, "invalid_parameter", "is given twice", field=name)
        if longest is not None and len(request.query[name]) > longest:
            raise ApiError(422, "invalid_parameter", f"is longer than {longest} characters", field=name)
    return dict(request.query)


def organization_of(named: str | None, principal: Principal) -> str:
    """The organization that is named, or else the key's own. Raises `ApiError` 422, and 403 for another's."""
    if named is None and principal.organization != ANY_ORGANIZATION:
        return principal.organization
    if not named or len(named) > ORGANIZATION_MAX:
        raise ApiError(422, "invalid_parameter", "name an organization", field="organization")
    require_organization(principal, named)
    return named
