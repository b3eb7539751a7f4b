"""A reader for settings: from a mapping to typed values, every fault reported at once, never a value shown."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import time
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_ADDRESS = re.compile(r"(?P<host>[^:]+|\[[0-9A-Fa-f:]+\]):(?P<port>\d{1,5})")
_TIME_OF_DAY = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_MAX_PORT: Final = 65_535
_NO_MOST: Final = 1e9
"""Seconds, 31 years: a bound for arithmetic, not for people."""


class SettingsError(Exception):
    """One or more settings are wrong; `faults` holds a line for each, with the variable's name and the reason."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class Secret:
    """A text that shows itself to nobody but `reveal`."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for the one call that needs it."""
        return self._text

    def __repr__(self) -> str:
        return "Secret('***')"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """Where to listen: a host and a port; port 0 lets the system choose."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """Where to listen: a unix socket's path."""

    path: str


Address = TcpAddress | UnixAddress

Network = IPv4Network | IPv6Network
"""A range of addresses."""


class Reader:
    """Reads one variable after another and keeps the faults; `finish` raises them together.

    A variable that is unset or empty takes its default; without a default it is a fault. After a fault the
    default's place is taken by something of the right type, so that reading goes on to the next fault.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.faults: list[str] = []

    def text(self, name: str, default: str | None = None) -> str:
        """Any text."""
        return self._read(name, str, default, "")

    def optional_text(self, name: str) -> str | None:
        """Any text, or None where it is unset."""
        return self._environment.get(name, "").strip() or None

    def secret(self, name: str) -> Secret:
        """A text that must not be shown."""
        return self._read(name, Secret, None, Secret(""))

    def optional_secret(self, name: str) -> Secret | None:
        """A text that must not be shown, or None where it is unset."""
        text = self.optional_text(name)
        return None if text is None else Secret(text)

    def secrets(self, name: str, default: tuple[Secret, ...] | None = None) -> tuple[Secret, ...]:
        """Several secrets, comma-separated, as while one is rotated."""
        return self._read(name, lambda text: tuple(map(Secret, _parts(text))), default, ())

    def names(self, name: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """Several texts, comma-separated."""
        return self._read(name, _parts, default, ())

    def networks(self, name: str) -> tuple[Network, ...]:
        """Addresses and ranges of them, comma-separated; none where it is unset."""
        return self._read(name, lambda text: tuple(map(_network, _parts(text))), (), ())

    def whole(self, name: str, default: int, *, least: int, most: int) -> int:
        """A whole number between `least` and `most`."""

        def parse(text: str) -> int:
            if not re.fullmatch(r"\d{1,12}", text) or not least <= int(text) <= most:
                raise ValueError(f"must be a whole number from {least} to {most}")
            return int(text)

        return self._read(name, parse, default, default)

    def duration(self, name: str, default: float | None, *, least: float = 0.0, most: float = _NO_MOST) -> float:
        """Seconds, written with a unit: 250ms, 5s, 10m, 72h, 30d."""
        return self._read(name, lambda text: _duration(text, least, most), default, 0.0)

    def optional_duration(self, name: str, *, least: float = 0.0, most: float = _NO_MOST) -> float | None:
        """Seconds, written with a unit, or None where it is unset."""
        return None if self.optional_text(name) is None else self.duration(name, None, least=least, most=most)

    def time_of_day(self, name: str, default: time) -> time | None:
        """A time of the day in UTC, written 03:00; None where it is `off`."""
        unread: tuple[time | None] = (default,)
        return self._read(name, _time_of_day, unread, unread)[0]

    def choice(self, name: str, kind: type[E], default: E) -> E:
        """One of an enumeration's values."""

        def parse(text: str) -> E:
            try:
                return kind(text)
            except ValueError:
                raise ValueError(f"must be one of {' '.join(kind)}") from None

        return self._read(name, parse, default, default)

    def url(self, name: str, *schemes: str, default: str | None = None) -> str:
        """A URL with one of `schemes` and a host; it may hold a password, so treat it as a secret."""
        return self._read(name, lambda text: _url(text, schemes), default, "")

    def optional_url(self, name: str, *schemes: str) -> str | None:
        """A URL with one of `schemes`, or None where it is unset."""
        return None if self.optional_text(name) is None else self.url(name, *schemes)

    def address(self, name: str, default: Address) -> Address:
        """`host:port`, or `unix:/path` for a unix socket."""
        return self._read(name, _address, default, default)

    def fault(self, name: str, reason: str) -> None:
        """Note a fault that only shows when settings are seen together."""
        self.faults.append(f"{name} {reason}")

    def finish(self) -> None:
        """SettingsError with every fault, if there was one."""
        if self.faults:
            raise SettingsError(self.faults)

    def _read(self, name: str, parse: Callable[[str], T], default: T | None, stand_in: T) -> T:
        text = self._environment.get(name, "").strip()
        if not text:
            if default is None:
                self.fault(name, "is not set")
                return stand_in
            return default
        try:
            return parse(text)
        except ValueError as error:
            self.fault(name, str(error))
            return stand_in


def _parts(text: str) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in text.split(","))
    if not all(parts):
        raise ValueError("must be a comma-separated list without empty parts")
    return parts


def _network(text: str) -> Network:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise ValueError("must be a comma-separated list of addresses or ranges, such as 10.0.0.0/8, ::1") from None


def _duration(text: str, least: float, most: float) -> float:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError("must be a number with a unit: 250ms, 5s, 10m, 72h, 30d")
    seconds = float(match[1]) * _UNITS[match[2]]
    if not least <= seconds <= most:
        bounds = (
            f"at least {_with_unit(least)}" if most >= _NO_MOST else f"from {_with_unit(least)} to {_with_unit(most)}"
        )
        raise ValueError(f"must be {bounds}")
    return seconds


def _time_of_day(text: str) -> tuple[time | None]:
    if text == "off":
        return (None,)
    if not _TIME_OF_DAY.fullmatch(text):
        raise ValueError("must be a time of the day in UTC, such as 03:00, or off")
    return (time.fromisoformat(text),)


def _with_unit(seconds: float) -> str:
    """The largest unit that leaves a whole number: as settings are written."""
    for unit in reversed(_UNITS):
        count = round(seconds / _UNITS[unit], 9)
        if count >= 1 and count.is_integer():
            return f"{count:.0f}{unit}"
    return f"{seconds:g}s"


def _url(text: str, schemes: tuple[str, ...]) -> str:
    try:
        parts = urlsplit(text)
        # A unix socket is named by its path and has no host.
        place = parts.path if parts.scheme == "unix" else parts.netloc
        good = parts.scheme in schemes and bool(place) and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good:
        raise ValueError(f"must be a URL such as {schemes[0]}://host…; schemes: {' '.join(schemes)}")
    return text


def _address(text: str) -> Address:
    if text.startswith("unix:/"):
        return UnixAddress(text.removeprefix("unix:"))
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match["port"]) > _MAX_PORT:
        raise ValueError("must be host:port, such as 127.0.0.1:7070, or unix:/path/of/socket")
    return TcpAddress(match["host"].strip("[]"), int(match["port"]))
