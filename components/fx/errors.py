"""The error tree. An error's class says what the caller does next.

PlatformError
├── BadInput      fix the input        HTTP 400   exit 2
├── NotFound      name another thing   HTTP 404   exit 3
├── Refused       a risk answer: stop  HTTP 409   exit 4
├── Unavailable   retry later          HTTP 503   exit 5
└── Corrupt       stop, halt trading   HTTP 500   exit 6
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound="BaseModel")

PART_LENGTH = 64


class PlatformError(Exception):
    """Something that the platform can explain in one sentence."""

    http_status = 500
    exit_code = 1
    code = "error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class BadInput(PlatformError):
    """The input is wrong; `field` names which part of it."""

    http_status = 400
    exit_code = 2
    code = "bad_input"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field


class NotFound(PlatformError):
    """The named thing does not exist."""

    http_status = 404
    exit_code = 3
    code = "not_found"


class Refused(PlatformError):
    """A rule said no; `code` names the rule."""

    http_status = 409
    exit_code = 4

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Unavailable(PlatformError):
    """A part that is needed does not answer; the same call may succeed later."""

    http_status = 503
    exit_code = 5
    code = "unavailable"


class Corrupt(PlatformError):
    """Stored state contradicts itself; trading must halt until a person has looked."""

    http_status = 500
    exit_code = 6
    code = "corrupt"


def parse_payload(kind: type[Model], payload: Mapping[str, Any] | Model, whole: str = "") -> Model:
    """A pydantic model from plain values.

    Parameters
    ----------
    kind : type of BaseModel
    payload : mapping or instance of `kind`
        An instance is given back as it is.
    whole : str
        What the payload is called where the fault is in no single field; the name of `kind` by default.

    Raises
    ------
    BadInput
        Naming the first field that is wrong and what is wrong with it.
    """
    from pydantic import ValidationError

    if isinstance(payload, kind):
        return payload
    try:
        return kind.model_validate(dict(payload) if isinstance(payload, Mapping) else payload)
    except ValidationError as error:
        raise bad_input_of(error, kind=kind, whole=whole or kind.__name__) from None


def bad_input_of(error: ValidationError, prefix: str = "", kind: type[BaseModel] | None = None, whole: str = "input") -> BadInput:
    """What pydantic refused, as the platform says it: the first wrong field, its value and what is wrong with it.

    Parameters
    ----------
    error : ValidationError
    prefix : str
        Put before the field's path as it is, for example ``"params."``.
    kind : type of BaseModel, optional
        What was to be made; with it an unknown field is answered by the known ones.
    whole : str
        The field's name where the fault is in no single field and there is no prefix.
    """
    first: Any = error.errors(include_url=False)[0]
    path = ".".join(str(part)[:PART_LENGTH] for part in first["loc"])
    field = prefix + path if path else prefix.rstrip("._") or whole
    if first["type"] == "missing":
        return BadInput(field, "is missing")
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        known = _known_fields(kind, first["loc"][:-1])
        return BadInput(field, f"is unknown; known are {', '.join(known)}" if known else "is unknown")
    is_ours = first["type"] in ("value_error", "assertion_error")
    message = first["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ").removeprefix(f"{path}: ")
    message = message if is_ours else message[:1].lower() + message[1:]
    value = first["input"]
    is_shown = bool(path) and (value is None or isinstance(value, (str, int, float)))
    return BadInput(field, f"{value!r:.{PART_LENGTH}}: {message}" if is_shown else message)


def _known_fields(kind: Any, path: Sequence[int | str]) -> tuple[str, ...]:
    """Names of the fields of the part of `kind` that `path` leads to; nothing where that is no class with fields."""
    for part in path:
        kind = getattr(getattr(kind, "model_fields", {}).get(part), "annotation", None)
    fields: Mapping[str, Any] = getattr(kind, "model_fields", None) or getattr(kind, "__dataclass_fields__", {})
    return tuple(fields)
