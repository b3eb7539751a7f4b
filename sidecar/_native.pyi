from typing import TypeAlias

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

# The whole strings of Redis's protocol from `at` on, `most` at most, and where they end. Anything else ends them.
def bulks(data: bytes, at: int, most: int, /) -> tuple[list[bytes], int]: ...
