"""Copies of a small project, and their files: what the tests of copies on disk stand on."""

import io
from typing import Any

from common.clock import SECOND, Instant
from sidecar import copy_file
from sidecar.copy_file import Head, grant_lines
from sidecar.replica import Copy
from tests.support.history import PROJECT, START, History, grant


def committed(users: int) -> History:
    """A project with so many users."""
    history = History()
    for number in range(users):
        history.change(f"ürsula-{number}", grant(), grant("seats", number % 7, valid_to=START + number * SECOND))
    return history


def filled(users: int = 40) -> Copy:
    """A copy of a small project."""
    history = committed(users)
    copy = Copy(PROJECT, history.catalogue, history.position)
    for document in history.documents.values():
        copy.hold(document)
    copy.compare(history.position, history.count, history.digest)
    return copy


def contents(copy: Copy) -> tuple[Head, list[list[Any]], list[bytes]]:
    """What is saved of it."""
    grants, pages = list(copy.records.grants.listed), list(copy.records.pages.pages)
    head = Head(
        copy.project,
        copy.position,
        copy.count,
        copy.digest,
        copy.complete,
        Instant(START + 1),
        2.5,
        copy.catalogue,
        len(pages),
        grant_lines(grants),
    )
    return head, grants, pages


def written(copy: Copy) -> bytes:
    """The file's bytes."""
    file = io.BytesIO()
    copy_file.write(file, *contents(copy))
    return file.getvalue()
