"""Types of arguments that click does not know."""

from typing import Any

import click
import orjson

from common.answers import parse_feature, parse_user
from common.clock import Instant, TimeError, parse_time
from common.identifiers import FeatureCode, UserId
from common.log_levels import MOST_SECONDS
from common.problems import Problem
from common.settings import Reader


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


class _User(click.ParamType[UserId]):
    name = "user"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> UserId:
        try:
            return parse_user(str(value))
        except Problem as problem:
            self.fail(problem.detail, param, ctx)


class _Feature(click.ParamType[FeatureCode]):
    name = "feature"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> FeatureCode:
        try:
            return parse_feature(str(value))
        except Problem as problem:
            self.fail(problem.detail, param, ctx)


USER = _User()
FEATURE = _Feature()


class _Duration(click.ParamType[int]):
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Whole seconds out of a number with a unit, as settings are written."""
        reader = Reader({self.name: str(value)})
        seconds = reader.duration(self.name, None, least=1, most=MOST_SECONDS)
        for fault in reader.faults:
            self.fail(fault.removeprefix(f"{self.name} "), param, ctx)
        return round(seconds)


TIME = _Time()
DURATION = _Duration()
VALUE = _Value()
