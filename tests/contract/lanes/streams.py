"""Byte streams as clients send them: whole requests, strange ones, spoiled ones, cut anywhere. Drawn from a seed."""

from random import Random
from typing import Final
from urllib.parse import quote

from tests.support.history import PROJECT

USERS: Final = ("ann", "bob", "cyd", "dan", "eve:7@x.example", "nobody", "Zoë ☂", 'quo"te', "a b", "%41", "x" * 255)
FEATURES: Final = ("pro", "free", "seats", "theme", "old", "soon", "none", "unheard-of", "limits")
HOT: Final = (
    ("ann", "pro"),
    ("bob", "old"),
    ("cyd", "pro"),
    ("dan", "seats"),
    ("nobody", "free"),
    ("nobody", "limits"),
)
"""What is asked most often, and changed most often."""

ASKED: Final = "asked"
"""A project whose copy is not complete, so that the writer is asked for strangers."""

_BLOCKS: Final = (
    "Host: x\r\n\r\n",
    "Host: localhost:7070\r\nUser-Agent: curl/8.1\r\nAccept: */*\r\n\r\n",
    "host: x\r\nconnection: keep-alive\r\naccept-encoding: gzip, deflate\r\ntraceparent: 00-1-2-01\r\n\r\n",
    "Host: x\r\nConnection: Keep-Alive\r\nX-Empty: \r\n\r\n",
    "\r\n",
)
_ODD_BLOCKS: Final = (
    "Host: x\r\nConnection: close\r\n\r\n",
    "Host: x\r\nHost: y\r\n\r\n",
    "Host: x\r\nAccept:*/*\r\n\r\n",
    "Host: x\r\nAccept:  two\r\n\r\n",
    "Host: x\r\nX-Tab:\tx\r\n\r\n",
    "Host: x\r\nX-Folded: a\r\n b\r\n\r\n",
    "Host: x\r\nX-Space : a\r\n\r\n",
    "Host: x\r\nNo colon\r\n\r\n",
    "Host: x\r\nX-High: \xe9\r\n\r\n",
    "Host: x\r\nX-Nul: \x00\r\n\r\n",
    "Host: x\nAccept: */*\n\n",
    "Host: x\r\nContent-Length: 0\r\n\r\n",
    "Host: x\r\nContent-Length: 4\r\n\r\nbody",
    "Host: x\r\nContent-Length: 4\r\n\r\n\r\n\r\n",
    "Host: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nbody",
    "Host: x\r\nContent-Length: -1\r\n\r\n",
    "Host: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
    "Host: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    "Host: x\r\nExpect: 100-continue\r\n\r\n",
    "Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "Host: x\r\nConnection: keep-alive, upgrade\r\nUpgrade: h2c\r\n\r\n",
    "Host: x\r\nIf-None-Match: *\r\nRange: bytes=0-3\r\n\r\n",
    "Host: x\r\nX-Long: " + "y" * 4100 + "\r\n\r\n",
    "Host: x\r\nX-Longer: " + "y" * 8300 + "\r\n\r\n",
    "Host: x\r\n" + "".join(f"X-{n}: {n}\r\n" for n in range(140)) + "\r\n",
)
_LINES: Final = (
    "HEAD {} HTTP/1.1", "GET {} HTTP/1.0", "get {} HTTP/1.1", "OPTIONS {} HTTP/1.1", "DELETE {} HTTP/1.1",
    "GET  {} HTTP/1.1", "GET {}  HTTP/1.1", "GET {} HTTP/1.2", "GET {} HTTP/2.0", "GET {} http/1.1", "GET {}",
    "GET http://x{} HTTP/1.1", "GET {}#part HTTP/1.1", "\r\nGET {} HTTP/1.1", "GET\t{} HTTP/1.1", "GET /{} HTTP/1.1",
)  # fmt: skip
_UPGRADE: Final = "GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
_QUERIES: Final = (
    "feature=pro&user_id=ann",
    "user_id=ann",
    "feature=pro",
    "",
    "user_id=&feature=pro",
    "user_id=ann&feature=",
    "user_id=ann&feature=pro&user_id=bob",
    "user_id=ann&&feature=pro",
    "user_id=ann;feature=pro",
    "user_id=a%ZZ&feature=pro",
    "user_id=a+b&feature=pro",
    "user_id=a%20b&feature=pro",
    "user_id=%61nn&feature=p%72o",
    "user_id=%ff&feature=pro",
    "user_id=ann&feature=pro&expected=true",
    "user_id=ann&feature=pro&expected=maybe",
    "user_id=ann&feature=seats&used=3",
    "user_id=ann&feature=seats&used=-1",
    "user_id=ann&feature=seats&used=99999999999999999999",
    "user_id=ann&feature=pro&min_revision=1.1",
    "user_id=ann&feature=pro&min_revision=0.9999",
    "user_id=ann&feature=pro&min_revision=x",
    "user_id=ann&feature=pro&project_id=shop",
    "project_id=shop&user_id=ann&feature=pro",
    "user_id=ann&feature=pro&project_id=other",
    "user_id=ann&feature=pro&project_id=",
    "user_id=%00&feature=pro",
    "user_id=ann&feature=p/ro",
    "user_id=ann&feature=" + "p" * 65,
    "user_id=" + "u" * 256 + "&feature=pro",
    "user_id=a=b&feature=pro",
    "user_id=ann&feature=pro&more=x",
    "user_id=ann&feature=pro?x=1",
    "user_id=\xe4&feature=pro",
    'user_id=a"b&feature=pro',
    "user_id=a'b&feature=pro",
    "user_id=a|b&feature=pro",
    "user_id=%25&feature=pro",
    "user_id=ann&feature=pro&",
    "&user_id=ann&feature=pro",
    "user_id=ann&feature=pro&used=",
    "user_id=%F0%9F%98%80&feature=pro",
)


def stream(rng: Random) -> list[bytes]:
    """Some requests, in the pieces in which they arrive."""
    if rng.random() < 0.1:
        return _hidden(rng)
    requests = [_request(rng) for _ in range(rng.choice((1, 1, 2, 3, 5)))]
    pieces = requests if rng.random() < 0.5 else _cut(b"".join(requests), rng)
    if rng.random() < 0.15:
        pieces = [_spoiled(piece, rng) for piece in pieces if piece]
    return [piece for piece in pieces if piece]


def _request(rng: Random) -> bytes:
    kind = rng.random()
    if kind < 0.55:
        return _check(rng, "GET {} HTTP/1.1", rng.choice(_BLOCKS))
    if kind < 0.70:
        return _check(rng, "GET {} HTTP/1.1", rng.choice(_ODD_BLOCKS))
    if kind < 0.78:
        return _check(rng, rng.choice(_LINES), rng.choice(_BLOCKS))
    return _other(rng)


def _hidden(rng: Random) -> list[bytes]:
    """A whole check that stands, in a read of its own, where it is no request: in a body, a header, another's line."""
    check = _check(rng, "GET {} HTTP/1.1", rng.choice(_BLOCKS))
    head = "POST /api/v1/check HTTP/1.1\r\nHost: x\r\n"
    chunk = f"{len(check):x}\r\n"
    before, after = rng.choice(
        (
            (f"{head}Content-Length: {len(check)}\r\n\r\n", ""),
            (f"{head}Content-Length: {len(check) + 4}\r\n\r\n", "more"),
            (f"{head}Content-Length: {len(check) + 1}\r\n\r\nx", ""),
            (f"{head}Content-Length: {len(check) * 2}\r\n\r\n", check.decode("latin-1")),
            (f"{head}Content-Length: 3\r\n\r\nxyz", ""),
            (f"{head}Content-Length: 3\r\n\r\nxyzGET /", ""),
            (f"{head}Transfer-Encoding: chunked\r\n\r\n{chunk}", "\r\n0\r\n\r\n"),
            (f"{head}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ""),
            (f"{head}Content-Length: {len(check)}\r\n", ""),
            ("GET /nowhere HTTP/1.1\r\nHost: x\r\nX-Part: ", ""),
            ("GET /nowhere HTTP/1.1\r\nHost: x\r\n", ""),
            ("GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\nGET ", ""),
            ("GET /nowhere HTTP/1.1\r\nHost: x\r\n\r", "\n"),
            (_UPGRADE, ""),
            (f"{_UPGRADE}{head}Content-Length: {len(check)}\r\n\r\n", ""),
            ("GET", ""),
            ("\r", ""),
        )
    )
    last = _check(rng, "GET {} HTTP/1.1", rng.choice(_BLOCKS))
    pieces = [before.encode("latin-1"), check, after.encode("latin-1"), last]
    if rng.random() < 0.2:
        pieces[1] += b"GET /"
    return [piece for piece in pieces if piece]


def _check(rng: Random, line: str, block: str) -> bytes:
    return (line.format(f"/api/v1/check?{_query(rng)}") + "\r\n" + block).encode("latin-1")


def _query(rng: Random) -> str:
    if rng.random() < 0.3:
        query = rng.choice(_QUERIES)
    else:
        user, feature = (rng.choice(USERS), rng.choice(FEATURES)) if rng.random() < 0.3 else rng.choice(HOT)
        query = f"user_id={quote(user, safe=rng.choice(('', ':@')))}&feature={feature}"
    if "project_id" in query or rng.random() < 0.05:
        return query
    return f"{query}&project_id={ASKED if rng.random() < 0.15 else PROJECT}"


def _other(rng: Random) -> bytes:
    body = '{"project_id":"shop","checks":[{"user_id":"ann","feature":"pro"},{"user_id":"bob","feature":"seats"}]}'
    batch = f"POST /api/v1/check HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    block = rng.choice(_BLOCKS)
    return rng.choice(
        (
            batch,
            batch.replace("shop", "nowhere"),
            batch[:-1],
            batch + "\r\n",
            f"GET /api/v1/entitlements?user_id=ann&project_id=shop HTTP/1.1\r\n{block}",
            f"GET /api/v1/entitlements?user_id=stranger&project_id={ASKED} HTTP/1.1\r\n{block}",
            f"GET /nowhere HTTP/1.1\r\n{block}",
            f"GET /api/v1/check HTTP/1.1\r\n{block}",
            f"POST /api/v1/check?user_id=ann&feature=pro HTTP/1.1\r\n{block}",
            f"GET /api/v1/checks?user_id=ann&feature=pro HTTP/1.1\r\n{block}",
            "\r\n\r\n",
            "\x16\x03\x01\x02\x00\x01\x00",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        )
    ).encode("latin-1")


def _cut(data: bytes, rng: Random) -> list[bytes]:
    places = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randint(0, 4)))
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


def _spoiled(data: bytes, rng: Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + rng.choice((b"", bytes([rng.randrange(256)]), b"\r\n", b" ")) + data[at + rng.randrange(2) :]
