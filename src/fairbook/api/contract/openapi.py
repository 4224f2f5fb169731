"""The contract table as OpenAPI 3.1."""

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any, Final

import msgspec

from fairbook.api.contract.reply_shapes import ErrorReply
from fairbook.api.contract.table import ROUTES, Route

REF: Final = "#/components/schemas/{name}"
TEXT: Final = {"text/plain": {"schema": {"type": "string"}}}
SECURITY: Final = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "signature": {
        "type": "apiKey", "in": "header", "name": "X-API-Key",
        "description": "with X-Signature, X-Timestamp and X-Window over the instruction",
    },
}  # fmt: skip
STATUS_OF: Final = {
    "FORBIDDEN": "403",
    "NOT_IMPLEMENTED": "501",
    "RESOURCE_NOT_FOUND": "404",
    "UNAUTHORIZED": "401",
}
"""Of error codes that are not answered with 400."""
ACCEPTED: Final = "durable; asked for with `Prefer: respond-async`"
EVERYWHERE: Final = {
    "400": "INVALID_CLIENT_REQUEST",
    "413": "INVALID_CLIENT_REQUEST: the body is too long",
    "415": "INVALID_CLIENT_REQUEST",
    "429": "TOO_MANY_REQUESTS",
    "500": "SERVER_ERROR: a bug; nothing was changed",
    "503": "MAINTENANCE or TRADING_PAUSED: nothing was done",
    "504": "TIMEOUT: the outcome is unknown",
}


def openapi() -> dict[str, Any]:
    """The document. It is made anew at each call."""
    types = [type_ for route in ROUTES for type_ in _types(route) if type_]
    schemas, components = msgspec.json.schema_components([*types, ErrorReply], ref_template=REF)
    *found, error = schemas
    by_type = iter(found)
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        reply, accepted, request = (next(by_type) if each else None for each in _types(route))
        operation = _operation(route, reply, request, error, components)
        if accepted is not None:
            content = {"application/json": {"schema": accepted}}
            operation["responses"]["202"] = {"description": ACCEPTED, "content": content}
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Fairbook", "version": version("fairbook")},
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": SECURITY},
    }


def _types(route: Route) -> tuple[Any, Any, Any]:
    return route.reply, route.accepted, route.request


def _operation(
    route: Route,
    reply: dict[str, Any] | None,
    request: dict[str, Any] | None,
    error: dict[str, Any],
    components: dict[str, Any],
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": _operation_id(route), "summary": route.summary, "parameters": []
    }  # fmt: skip
    if "{" in route.path:
        name = route.path.partition("{")[2].rstrip("}")
        found["parameters"].append(
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        )
    if request is not None and route.method == "GET":
        found["parameters"] += _query_parameters(request, components)
    elif request is not None:
        schema = {"type": "array", "items": request, "maxItems": 50} if route.is_array else request
        content = {"application/json": {"schema": schema}}
        found["requestBody"] = {"required": True, "content": content}
    if route.permission:
        found["security"] = [{"bearer": []}, {"signature": []}]
        found["x-instruction"] = route.instruction
    body: dict[str, Any] = TEXT if reply is None else {"application/json": {"schema": reply}}
    found["responses"] = {str(route.status): {"description": "done", "content": body}}
    for status, description in _errors(route):
        found["responses"][status] = {
            "description": description,
            "content": {"application/json": {"schema": error}},
        }
    return found


def _operation_id(route: Route) -> str:
    """Of method and path, such as `get_api_v1_markets_symbol`."""
    words = route.path.replace("{", "").replace("}", "").replace(".", "_").strip("/").split("/")
    return "_".join([route.method.lower(), *words])


def _query_parameters(
    request: dict[str, Any], components: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    schema = components[request["$ref"].rpartition("/")[2]]
    for name, each in schema["properties"].items():
        yield {
            "name": name.rstrip("_"), "in": "query", "schema": each,
            "required": name in schema.get("required", ()),
        }  # fmt: skip


def _errors(route: Route) -> Iterator[tuple[str, str]]:
    """Status and description of each answer that is not a success."""
    codes: dict[str, set[str]] = {}
    for status, description in EVERYWHERE.items():
        codes[status] = {description}
    if route.permission:
        codes["401"], codes["403"] = {"UNAUTHORIZED or INVALID_SIGNATURE"}, {"FORBIDDEN"}
    for code in route.errors:
        codes.setdefault(STATUS_OF.get(code, "400"), set()).add(code)
    for status in sorted(codes):
        yield status, ", ".join(sorted(codes[status]))
