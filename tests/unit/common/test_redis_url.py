"""What a Redis URL may look like, and what is said of one that cannot be used."""

from pathlib import Path

import pytest

from common.redis_url import SCHEMES, NodeAddress, RedisUrlError, Topology, parse, read_redis_url
from common.settings import Reader, Secret, SettingsError


def test_one_server_is_named_by_host_port_and_database() -> None:
    """Port and database have defaults, user and password are decoded."""
    url = parse("redis://writer:p%40ss@cache/3")
    assert (url.topology, url.nodes, url.db) == (Topology.ONE, (NodeAddress("cache", 6379),), 3)
    assert url.user.name == "writer"
    assert url.user.password == Secret("p@ss")
    assert parse("redis://:only-a-password@[::1]:7000?db=2").nodes == (NodeAddress("::1", 7000),)


def test_a_socket_is_named_by_its_path() -> None:
    """It may have a user and a database, as the others."""
    url = parse("unix://:hidden@/run/redis.sock?db=4")
    assert (url.path, url.nodes, url.db, url.user.password) == ("/run/redis.sock", (), 4, Secret("hidden"))


def test_a_cluster_is_named_by_some_of_its_nodes() -> None:
    """One port each; the default where none is given."""
    url = parse("redis+cluster://user:pass@a:7001,b,[::1]:7003")
    assert url.topology is Topology.CLUSTER
    assert url.nodes == (NodeAddress("a", 7001), NodeAddress("b", 6379), NodeAddress("::1", 7003))


def test_sentinels_are_asked_for_a_master_and_have_users_of_their_own() -> None:
    """The path names the master and the database."""
    url = parse("redis+sentinel://user:pass@s1,s2:26380/billing/2?sentinel_username=look&sentinel_password=see")
    assert url.nodes == (NodeAddress("s1", 26379), NodeAddress("s2", 26380))
    assert (url.master, url.db) == ("billing", 2)
    assert (url.sentinel_user.name, url.sentinel_user.password) == ("look", Secret("see"))


@pytest.mark.parametrize("scheme", ["rediss", "rediss+cluster", "rediss+sentinel"])
def test_tls_checks_the_server_unless_told_otherwise(scheme: str, tmp_path: Path) -> None:
    """Authorities, and a certificate of ours, are files."""
    file = tmp_path / "ca.pem"
    file.write_text("")
    tls = parse(f"{scheme}://cache/{'name' * scheme.endswith('sentinel')}?ssl_ca_certs={file}").tls
    assert tls is not None
    assert (tls.ca_certs, tls.check_hostname) == (str(file), True)


@pytest.mark.parametrize(
    ("url", "faults"),
    [
        ("cache:6379", ["must be a URL such as redis://host…; schemes: " + " ".join(SCHEMES)]),
        ("redis://", ["must be a URL such as redis://host…; schemes: " + " ".join(SCHEMES)]),
        ("redis://hidden host", ["must name hosts as host:port; number 1 is none"]),
        ("redis+cluster://a,,b:99999", [f"must name hosts as host:port; number {n} is none" for n in (2, 3)]),
        ("redis://a,b", ["names several hosts, which is for redis+cluster:// and redis+sentinel://"]),
        ("redis://a/hidden", ["must name the database by its number, such as /0"]),
        ("redis+cluster://a/1", ["must not name a database: a cluster has number 0 alone"]),
        ("redis+sentinel://a", ["must name the sentinels' master: redis+sentinel://host:26379/NAME"]),
        ("redis://hidden@a", ["names a user without a password"]),
        ("unix://hidden/run", ["must name a socket by its absolute path: unix:///path/of/socket"]),
        ("rediss://a?ssl_ca_certs=/hidden", ["has ssl_ca_certs, which names a file that cannot be read"]),
        ("rediss://a?ssl_check_hostname=hidden", ["has ssl_check_hostname, which must be true or false"]),
        ("redis://a?sentinel_password=hidden", ["has sentinel_ options, which need redis+sentinel://"]),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(url: str, faults: list[str]) -> None:
    """The reason holds no part of the URL."""
    with pytest.raises(RedisUrlError) as refused:
        parse(url)
    assert refused.value.faults == faults
    assert "hidden" not in str(refused.value)


def test_every_fault_of_a_url_is_the_settings_own() -> None:
    """They are told together, each with the variable's name."""
    reader = Reader({"REDIS_URL": "redis+cluster://hidden@a:0/7?ssl_ca_certs=/hidden&hidden=1"})
    read_redis_url(reader, "REDIS_URL")
    with pytest.raises(SettingsError) as refused:
        reader.finish()
    assert len(refused.value.faults) == 5
    assert all(fault.startswith("REDIS_URL ") for fault in refused.value.faults)
    assert "hidden" not in str(refused.value)


def test_a_url_shows_no_password() -> None:
    """Not even in its text for people."""
    assert "hidden" not in repr(parse("redis+sentinel://u:hidden@a/m?sentinel_password=hidden"))
