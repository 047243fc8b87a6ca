"""The error tree. An error's class says what the caller does next.

PlatformError
├── BadInput      fix the input        HTTP 400   exit 2
├── NotFound      name another thing   HTTP 404   exit 3
├── Refused       a risk answer: stop  HTTP 409   exit 4
├── Unavailable   retry later          HTTP 503   exit 5
└── Corrupt       stop, halt trading   HTTP 500   exit 6
"""

from __future__ import annotations


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
