"""Tables in CSV files of people's: read whole, and refused with all their faults, each by its line."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Final

_MOST_FAULTS: Final = 50
_BOMS: Final = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


class TableError(Exception):
    """The file is not taken; `faults` names each with its line."""

    def __init__(self, faults: Sequence[str]) -> None:
        shown = tuple(faults[:_MOST_FAULTS])
        more = len(faults) - len(shown)
        self.faults = (*shown, f"… and {more} more") if more > 0 else shown
        super().__init__("; ".join(self.faults))


def read(
    data: bytes, columns: Sequence[str], needed: Sequence[str], faults: list[str]
) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows by column, each with the number of the line that it begins at; a column that is not there is empty.

    UTF-8, or UTF-16 with its mark; comma or semicolon. What is wrong with single rows goes to `faults`; TableError
    where nothing can be read.
    """
    rows = _rows(_decoded(data))
    try:
        line, header = next(rows)
    except StopIteration:
        raise TableError([f"the file is empty: it begins with the line {','.join(columns)}"]) from None
    names = _header(line, header, columns, needed)
    for at, cells in rows:
        if len(cells) == len(names):
            yield at, dict.fromkeys(columns, "") | dict(zip(names, cells, strict=True))
        else:
            faults.append(f"line {at}: has {len(cells)} columns, the first line has {len(names)}")


def _decoded(data: bytes) -> str:
    encoding = next((name for mark, name in _BOMS if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TableError([f"line {line}: is not {encoding.upper()} text; save the file as UTF-8"]) from None


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
        raise TableError([f"line {begins}: {error}"]) from None


def _header(line: int, cells: list[str], columns: Sequence[str], needed: Sequence[str]) -> list[str]:
    names = [cell.lower() for cell in cells]
    faults = [f"line {line}: there is no column {name}" for name in needed if name not in names]
    faults += [
        f"line {line}: {name or 'an empty name'} is no column of ours; they are {', '.join(columns)}"
        for name in names
        if name not in columns
    ]
    faults += [f"line {line}: the column {name} stands twice" for name in columns if names.count(name) > 1]
    if faults:
        raise TableError(faults)
    return names
