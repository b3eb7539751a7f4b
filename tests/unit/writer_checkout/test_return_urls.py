"""Where customers may be sent back to."""

import pytest

from common.problems import Problem
from writer.checkout import return_urls

HOSTS = ["app.example.com", "staging.example.com:8443"]

GOOD = (
    "https://app.example.com/paid?x=1#done",
    "https://APP.example.com",
    "https://app.example.com:443/",
    "https://staging.example.com:8443/",
    "http://localhost:3000/paid",
    "http://127.0.0.1/",
    "http://[::1]:8080/",
    "http://shop.localhost/",
)

BAD = (
    ("https://evil.com/", "return_host_not_allowed"),
    ("https://app.example.com.evil.com/", "return_host_not_allowed"),
    ("https://evilapp.example.com/", "return_host_not_allowed"),
    ("https://app.example.com:8443/", "return_host_not_allowed"),
    ("https://staging.example.com/", "return_host_not_allowed"),
    ("https://127.0.0.2/", "return_host_not_allowed"),
    ("https://app.example.com./", "invalid_return_url"),
    ("http://app.example.com/", "invalid_return_url"),
    ("https://app.example.com@evil.com/", "invalid_return_url"),
    ("https://user:word@app.example.com/", "invalid_return_url"),
    ("https://evil.com\\@app.example.com/", "invalid_return_url"),
    ("https:\\\\evil.com", "invalid_return_url"),
    ("https://app.example.com\t.evil.com/", "invalid_return_url"),
    ("https://app.example.com/ paid", "invalid_return_url"),
    ("https://app.exämple.com/", "invalid_return_url"),
    ("https://app.example.com:0/", "invalid_return_url"),
    ("https://app.example.com:99999/", "invalid_return_url"),
    ("https://[::1/", "invalid_return_url"),
    ("javascript:alert(1)", "invalid_return_url"),
    ("//app.example.com/", "invalid_return_url"),
    ("https:///paid", "invalid_return_url"),
    ("/paid", "invalid_return_url"),
    ("", "invalid_return_url"),
    ("https://app.example.com/" + "a" * 2048, "invalid_return_url"),
)


@pytest.mark.parametrize("url", GOOD)
def test_listed_and_loopback_hosts_pass(url: str) -> None:
    """A listed host with https, and in test mode a loopback host, may be returned to, and the URL is left as it is."""
    assert return_urls.check("success_url", url, HOSTS, livemode=False) == url


@pytest.mark.parametrize(("url", "code"), BAD)
def test_everything_else_is_refused(url: str, code: str) -> None:
    """Any other host, and any text that a browser could read otherwise, is refused by name."""
    with pytest.raises(Problem) as caught:
        return_urls.check("success_url", url, HOSTS, livemode=False)
    assert caught.value.code == code
    assert caught.value.detail.startswith("success_url")


def test_loopback_is_refused_in_live_mode() -> None:
    """Real money never returns to a loopback host, even a listed one."""
    with pytest.raises(Problem, match="test mode only"):
        return_urls.check("success_url", "http://localhost:3000/", ["localhost:3000"], livemode=True)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a.b/x", "https://a.b/x?session_id={CHECKOUT_SESSION_ID}"),
        ("https://a.b/x?y=1", "https://a.b/x?y=1&session_id={CHECKOUT_SESSION_ID}"),
        ("https://a.b/x?", "https://a.b/x?session_id={CHECKOUT_SESSION_ID}"),
        ("https://a.b/x?y=1#/done", "https://a.b/x?y=1&session_id={CHECKOUT_SESSION_ID}#/done"),
        ("https://a.b/{CHECKOUT_SESSION_ID}", "https://a.b/{CHECKOUT_SESSION_ID}"),
    ],
)
def test_session_id_is_put_into_the_query(url: str, expected: str) -> None:
    """The success URL carries the session's id, once."""
    assert return_urls.with_session_id(url) == expected
