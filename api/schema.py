"""What drf-spectacular can't read from the code: who may ask, headers, and that every error is a problem."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import OpenApiParameter

PROBLEM = {
    "type": "object",
    "description": "What went wrong (RFC 9457).",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "A sentence for people."},
        "errors": {
            "type": "array",
            "description": "Which fields are wrong.",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {
                    "pointer": {"type": "string", "description": "A JSON Pointer into what was sent."},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}
ALWAYS = {
    "400": "What was sent is wrong.",
    "401": "Nobody is signed in, or the token is not in force.",
    "403": "You may see it, and not do this; or the token may only read.",
    "404": "It is not there, or you may not see it.",
    "406": "Something else than JSON is wanted.",
    "429": "Too many requests; Retry-After says when to go on.",
}
WRITING = {"409": "As things are it can't be done; the sentence says why.", "415": "What was sent is not JSON."}
IF_MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, description="The ETag that you have read: 412 where it has changed since."
)


class TokenScheme(OpenApiAuthenticationExtension):
    target_class = "api.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "description": "A token from the page of your API tokens."}


class SessionScheme(OpenApiAuthenticationExtension):
    target_class = "api.authentication.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {
            "type": "apiKey", "in": "cookie", "name": "sessionid",
            "description": "Whoever is signed in with a browser; writing needs the header X-CSRFToken too.",
        }  # fmt: skip


def add_problems(result: dict[str, Any], **given: Any) -> dict[str, Any]:
    """A postprocessing hook."""
    result["components"]["schemas"]["Problem"] = PROBLEM
    for operations in result["paths"].values():
        for method, operation in operations.items():
            errors = ALWAYS | (WRITING if method != "get" or operation["operationId"] == "printers_files" else {})
            if any(parameter["name"] == "If-Match" for parameter in operation.get("parameters", ())):
                errors |= {"412": "It has changed since it was read."}
            for status, text in errors.items():
                operation["responses"].setdefault(status, problem(text))
    return result


def problem(text: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": text, "content": {"application/problem+json": {"schema": schema}}}
