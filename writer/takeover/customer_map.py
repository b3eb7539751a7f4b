"""customers.csv: which Stripe customer is which user. Read whole and checked whole before anything happens."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from common.identifiers import IdentifierError, ProjectId, UserId, project_id, user_id

COLUMNS: Final = ("customer_id", "user_id", "project_id")
_REQUIRED: Final = frozenset({"customer_id", "user_id"})
_CUSTOMER: Final = re.compile(r"cus_[A-Za-z0-9_]{1,250}")
_MOST_FAULTS: Final = 50
_BOMS: Final = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


class CustomerMapError(Exception):
    """The file is not taken; `faults` names each with its line."""

    def __init__(self, faults: Sequence[str]) -> None:
        shown = tuple(faults[:_MOST_FAULTS])
        more = len(faults) - len(shown)
        self.faults = (*shown, f"… and {more} more") if more > 0 else shown
        super().__init__("; ".join(self.faults))


@dataclass(frozen=True, slots=True)
class Mapped:
    """One row. `project` None: that of what the customer bought, where it is one."""

    line: int
    customer_id: str
    user: UserId
    project: ProjectId | None


def read(data: bytes) -> Mapping[str, Mapped]:
    """The rows by customer; CustomerMapError with every fault. UTF-8, or UTF-16 with its mark; comma or semicolon."""
    text = _decoded(data)
    rows = _rows(text)
    try:
        line, header = next(rows)
    except StopIteration:
        raise CustomerMapError(["the file is empty: it begins with the line customer_id,user_id,project_id"]) from None
    names = _header(line, header)
    faults: list[str] = []
    found: dict[str, Mapped] = {}
    for at, cells in rows:
        mapped = _row(at, names, cells, faults)
        if mapped is None:
            continue
        before = found.setdefault(mapped.customer_id, mapped)
        if before is not mapped:
            faults.append(f"line {at}: {mapped.customer_id} stands in line {before.line} already")
    if faults:
        raise CustomerMapError(faults)
    return found


def _decoded(data: bytes) -> str:
    encoding = next((name for mark, name in _BOMS if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CustomerMapError([f"line {line}: is not {encoding.upper()} text; save the file as UTF-8"]) from None


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """The lines that are not empty, with the number of the line that each begins at."""
    head = text.partition("\n")[0]
    delimiter = ";" if head.count(";") > head.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    begins = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield begins, [cell.strip() for cell in cells]
            begins = reader.line_num + 1
    except csv.Error as error:
        raise CustomerMapError([f"line {begins}: {error}"]) from None


def _header(line: int, cells: list[str]) -> list[str]:
    names = [cell.lower() for cell in cells]
    faults = [f"line {line}: there is no column {name}" for name in COLUMNS if name in _REQUIRED - set(names)]
    faults += [
        f"line {line}: {name or 'an empty name'} is no column of ours; they are {', '.join(COLUMNS)}"
        for name in names
        if name not in COLUMNS
    ]
    faults += [f"line {line}: the column {name} stands twice" for name in COLUMNS if names.count(name) > 1]
    if faults:
        raise CustomerMapError(faults)
    return names


def _row(line: int, names: list[str], cells: list[str], faults: list[str]) -> Mapped | None:
    if len(cells) != len(names):
        faults.append(f"line {line}: has {len(cells)} columns, the first line has {len(names)}")
        return None
    row = dict(zip(names, cells, strict=True))
    before = len(faults)
    if not _CUSTOMER.fullmatch(row["customer_id"]):
        faults.append(f"line {line}: customer_id must be a Stripe customer's id, cus_…")
    try:
        user = user_id(row["user_id"])
        project = project_id(row["project_id"]) if row.get("project_id") else None
    except IdentifierError as error:
        faults.append(f"line {line}: {error}")
        return None
    return Mapped(line, row["customer_id"], user, project) if len(faults) == before else None
