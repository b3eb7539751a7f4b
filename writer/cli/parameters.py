"""Types of arguments that click does not know."""

from typing import Any

import click
import orjson

from common.answers import parse_feature, parse_user
from common.clock import Instant, TimeError, parse_time
from common.identifiers import FeatureCode, UserId
from common.problems import Problem


class _Time(click.ParamType[Instant]):
    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Instant:
        try:
            return parse_time(str(value))
        except TimeError as error:
            self.fail(str(error), param, ctx)


class _Value(click.ParamType[Any]):
    name = "value"

    def convert(self, value: Any, _: click.Parameter | None, __: click.Context | None) -> Any:
        """A number or an object as JSON; anything else is text as it stands."""
        try:
            parsed = orjson.loads(value)
        except orjson.JSONDecodeError:
            return value
        return parsed if isinstance(parsed, int | dict | str) and not isinstance(parsed, bool) else value


def user_of(text: str) -> UserId:
    """A user id; click.BadParameter where it can be none."""
    try:
        return parse_user(text)
    except Problem as problem:
        raise click.BadParameter(problem.detail, param_hint="USER") from problem


def feature_of(text: str) -> FeatureCode:
    """A feature code; click.BadParameter where it can be none."""
    try:
        return parse_feature(text)
    except Problem as problem:
        raise click.BadParameter(problem.detail, param_hint="FEATURE") from problem


TIME = _Time()
VALUE = _Value()
