"""customers.csv: which Stripe customer is which user. Read whole and checked whole before anything happens."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from common.identifiers import IdentifierError, ProjectId, UserId, project_id, user_id
from writer import csv_table
from writer.csv_table import TableError

COLUMNS: Final = ("customer_id", "user_id", "project_id")
_REQUIRED: Final = ("customer_id", "user_id")
_CUSTOMER: Final = re.compile(r"cus_[A-Za-z0-9_]{1,250}")


class CustomerMapError(TableError):
    """The file is not taken; `faults` names each with its line."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """One row. `project` None: that of what the customer bought, where it is one."""

    line: int
    customer_id: str
    user: UserId
    project: ProjectId | None


def read(data: bytes) -> Mapping[str, Mapped]:
    """The rows by customer; CustomerMapError with every fault. UTF-8, or UTF-16 with its mark; comma or semicolon."""
    faults: list[str] = []
    found: dict[str, Mapped] = {}
    try:
        for at, row in csv_table.read(data, COLUMNS, _REQUIRED, faults):
            mapped = _row(at, row, faults)
            if mapped is None:
                continue
            before = found.setdefault(mapped.customer_id, mapped)
            if before is not mapped:
                faults.append(f"line {at}: {mapped.customer_id} stands in line {before.line} already")
    except TableError as error:
        raise CustomerMapError(error.faults) from None
    if faults:
        raise CustomerMapError(faults)
    return found


def _row(line: int, row: Mapping[str, str], faults: list[str]) -> Mapped | None:
    before = len(faults)
    if not _CUSTOMER.fullmatch(row["customer_id"]):
        faults.append(f"line {line}: customer_id must be a Stripe customer's id, cus_…")
    try:
        user = user_id(row["user_id"])
        project = project_id(row["project_id"]) if row["project_id"] else None
    except IdentifierError as error:
        faults.append(f"line {line}: {error}")
        return None
    return Mapped(line, row["customer_id"], user, project) if len(faults) == before else None
