"""What an operator's or an app's wish can be refused for; said without HTTP, and once turned into it."""

from http import HTTPStatus
from typing import Any, Final

from common.problems import Problem


class RefusedError(Exception):
    """Not done: `code` is stable, `detail` says why and how to mend it, `faults` lists single points."""

    def __init__(self, code: str, detail: str, *, faults: tuple[str, ...] = ()) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.faults = faults


class InvalidError(RefusedError):
    """What was asked for makes no sense."""


class UnknownError(RefusedError):
    """What was named is not there."""


class ConflictError(RefusedError):
    """What is there already is in the way."""


_STATUS: Final[dict[type[RefusedError], HTTPStatus]] = {
    InvalidError: HTTPStatus.BAD_REQUEST,
    UnknownError: HTTPStatus.NOT_FOUND,
    ConflictError: HTTPStatus.CONFLICT,
}


def as_problem(error: RefusedError) -> Problem:
    """The refusal as a problem document."""
    more: dict[str, Any] = {"faults": list(error.faults)} if error.faults else {}
    statuses = (status for kind, status in _STATUS.items() if isinstance(error, kind))
    return Problem(next(statuses, HTTPStatus.BAD_REQUEST), error.code, error.detail, **more)
