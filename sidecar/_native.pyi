from collections.abc import Mapping
from typing import Any, TypeAlias

# Before the user, between user and end, after the end, at the end of all; and what else there is.
_Form: TypeAlias = tuple[Any, ...]

# Of each skeleton (what a document shares with others, with 0xFF for what is each row's own) what its rows grant, as
# records name it, and what the digest has of them.
_Paths: TypeAlias = dict[bytes, tuple[tuple[bytes, ...], bytes]]

# User, epoch, revision, record, and the digest's 16 bytes; a skeleton that is not among `paths`; or None where the
# document is not of the plain shape. `middle` is what stands between user and epoch.
def pack(data: bytes, middle: bytes, paths: _Paths, /) -> tuple[bytes, int, int, bytes, bytes] | bytes | None: ...

# Puts into `pages` what is packed, is of its user (None: of any), has at most so many bytes and is not held yet. How
# many that were, their digests' XOR, the newest epoch and revision among them, and the numbers of all others.
def take(
    users: list[bytes] | list[None],
    found: list[bytes | None],
    middle: bytes,
    paths: _Paths,
    pages: list[bytes],
    most: int,
    /,
) -> tuple[int, bytes, int, int, list[int]]: ...

# Of a request, the header blocks that are plain, what is held by what of a query follows `&feature=`, heads by an
# answer's length, and microseconds of now: the form that it used, and the whole response. None where another way is to
# answer. Held are a list of the copy's pages and its members of an answer, and forms by the text of a run's grants, by
# None the one of who holds nothing.
def answer(
    data: bytes,
    plain: set[bytes],
    held: Mapping[bytes, tuple[list[Any], Mapping[bytes | None, _Form | None]]],
    heads: list[bytes | None],
    now: int,
    /,
) -> tuple[_Form, bytes] | None: ...

# Of the only run of a user's record the text of its grants, from when and until when, in microseconds (2**63 - 1: no
# end). None where there is no record, another run, or a moment before 1970 or after the year 9999.
def held(pages: list[bytes], user: bytes, /) -> tuple[bytes, int, int] | None: ...

# The whole strings of Redis's protocol from `at` on, `most` at most, and where they end. Anything else ends them.
def bulks(data: bytes, at: int, most: int, /) -> tuple[list[bytes], int]: ...
