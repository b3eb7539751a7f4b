"""Reading the sidecar's settings."""

import re

import pytest

from common.catalogue import OnStale
from common.identifiers import ProjectId
from common.logs import LogLevel
from common.redis_url import SCHEMES
from common.settings import Secret, SettingsError, TcpAddress, UnixAddress
from sidecar.freshness import StalePolicy
from sidecar.settings import Settings

GOOD = {
    "SIDECAR_PROJECT": "shop",
    "SIDECAR_API_KEY": "key-of-shop",
    "REDIS_URL": "redis://:hidden-password@cache:6379/0",
    "WRITER_URL": "http://writer:8000",
}


def test_the_defaults_are_those_of_the_guide() -> None:
    """What is not set is local, stale after five seconds, and served however old."""
    settings = Settings.from_mapping(GOOD)
    assert settings.projects == {ProjectId("shop"): Secret("key-of-shop")}
    assert settings.listen == TcpAddress("127.0.0.1", 7070)
    assert settings.management_listen == TcpAddress("127.0.0.1", 7071)
    assert settings.policy == StalePolicy(5.0, None, OnStale.SERVE)
    assert settings.log_level is LogLevel.INFO
    assert re.fullmatch(r".+-\d+", settings.instance)
    assert (settings.user_header, settings.max_streams, settings.expiring_ahead) == ("X-User-Id", 1_000, 86_400.0)


def test_everything_can_be_set() -> None:
    """Several projects with their keys, sockets, policy."""
    settings = Settings.from_mapping(
        {
            **GOOD,
            "SIDECAR_PROJECT": "shop, blog",
            "SIDECAR_API_KEY": "one, two",
            "SIDECAR_LISTEN": "unix:/run/sidecar.sock",
            "SIDECAR_MANAGEMENT_LISTEN": "0.0.0.0:7071",
            "SIDECAR_STALE_AFTER": "10s",
            "SIDECAR_MAX_STALE": "1h",
            "SIDECAR_ON_STALE": "deny",
            "SIDECAR_INSTANCE": "pod-1",
            "SIDECAR_USER_HEADER": "X-Auth-Request-User",
            "SIDECAR_MAX_STREAMS": "0",
            "SIDECAR_EXPIRING_AHEAD": "7d",
            "REDIS_URL": "unix:///run/redis.sock",
        }
    )
    assert list(settings.projects.items()) == [("shop", Secret("one")), ("blog", Secret("two"))]
    assert settings.listen == UnixAddress("/run/sidecar.sock")
    assert settings.policy == StalePolicy(10.0, 3600.0, OnStale.DENY)
    assert settings.instance == "pod-1"
    assert (settings.user_header, settings.max_streams) == ("X-Auth-Request-User", 0)
    assert settings.expiring_ahead == 7 * 86_400.0


def test_redis_alone_needs_no_key() -> None:
    """The key is for the writer; without one there is nobody to show it to."""
    settings = Settings.from_mapping({"SIDECAR_PROJECT": "shop", "REDIS_URL": "redis://cache:6379"})
    assert settings.projects == {ProjectId("shop"): None}
    assert settings.writer_url is None


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        ({"SIDECAR_PROJECT": ""}, ["SIDECAR_PROJECT is not set"]),
        (
            {"SIDECAR_PROJECT": "no spaces"},
            ["SIDECAR_PROJECT project_id must have 1 to 64 characters out of A-Z a-z 0-9 _ . -"],
        ),
        (
            {"SIDECAR_PROJECT": "shop,shop", "SIDECAR_API_KEY": "a,b"},
            ["SIDECAR_PROJECT names a project twice"],
        ),
        ({"SIDECAR_API_KEY": ""}, ["SIDECAR_API_KEY is not set"]),
        (
            {"SIDECAR_PROJECT": "shop,blog"},
            ["SIDECAR_API_KEY must hold one key for each project: 1 for 2 projects"],
        ),
        (
            {"REDIS_URL": "", "WRITER_URL": ""},
            ["REDIS_URL is not set, and neither is WRITER_URL: the sidecar needs one, better both"],
        ),
        (
            {"REDIS_URL": "cache:6379"},
            ["REDIS_URL must be a URL such as redis://host…; schemes: " + " ".join(SCHEMES)],
        ),
        (
            {"WRITER_URL": "writer:8000"},
            ["WRITER_URL must be a URL such as http://host…; schemes: http https"],
        ),
        (
            {"SIDECAR_LISTEN": "7070"},
            ["SIDECAR_LISTEN must be host:port, such as 127.0.0.1:7070, or unix:/path/of/socket"],
        ),
        ({"SIDECAR_STALE_AFTER": "50ms"}, ["SIDECAR_STALE_AFTER must be at least 100ms"]),
        (
            {"SIDECAR_STALE_AFTER": "5"},
            ["SIDECAR_STALE_AFTER must be a number with a unit: 250ms, 5s, 10m, 72h, 30d"],
        ),
        ({"SIDECAR_MAX_STALE": "3s"}, ["SIDECAR_MAX_STALE must not be shorter than SIDECAR_STALE_AFTER"]),
        ({"SIDECAR_USER_HEADER": "a b"}, ["SIDECAR_USER_HEADER must be a header's name, such as X-User-Id"]),
        (
            {"SIDECAR_USER_HEADER": "X-Entitlement-User"},
            ["SIDECAR_USER_HEADER must not begin with X-Entitlement-: those are answers"],
        ),
        ({"SIDECAR_MAX_STREAMS": "-1"}, ["SIDECAR_MAX_STREAMS must be a whole number from 0 to 100000"]),
        ({"SIDECAR_EXPIRING_AHEAD": "500d"}, ["SIDECAR_EXPIRING_AHEAD must be from 0s to 365d"]),
        ({"SIDECAR_ON_STALE": "maybe"}, ["SIDECAR_ON_STALE must be one of serve deny allow"]),
        (
            {"LOG_LEVEL": "LOUD"},
            ["LOG_LEVEL must be one of DEBUG INFO WARNING ERROR CRITICAL"],
        ),
        (
            {"SIDECAR_PROJECT": "", "REDIS_URL": "cache", "SIDECAR_ON_STALE": "x"},
            [
                "SIDECAR_PROJECT is not set",
                "REDIS_URL must be a URL such as redis://host…; schemes: " + " ".join(SCHEMES),
                "SIDECAR_ON_STALE must be one of serve deny allow",
            ],
        ),
    ],
)
def test_bad_settings_are_told_all_at_once(change: dict[str, str], faults: list[str]) -> None:
    """Each fault names its variable and the reason."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_mapping({**GOOD, **change})
    assert caught.value.faults == faults


def test_no_secret_is_shown() -> None:
    """Neither the settings' text nor a fault carries a key or a password."""
    assert "key-of-shop" not in repr(Settings.from_mapping(GOOD))
    assert "hidden-password" not in repr(Settings.from_mapping(GOOD))
    with pytest.raises(SettingsError) as caught:
        Settings.from_mapping({**GOOD, "REDIS_URL": "http://:hidden-password@x", "SIDECAR_PROJECT": "a,b"})
    assert "hidden-password" not in str(caught.value)
    assert "key-of-shop" not in str(caught.value)
