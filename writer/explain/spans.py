"""Since when and until when each source gave a user each feature, and what caused both, out of the history."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row

from common.document import Source
from common.identifiers import FeatureCode
from writer import history

Json = dict[str, Any]

MOST_CHANGES: Final = 200
"""Of a user's, each with a whole document: years of renewals, and yet bounded where documents are large."""


@dataclass(slots=True)
class Span:
    """How long a source gave a feature without a break. `went` None: it still does. Changes in `history`'s shape."""

    feature: FeatureCode
    kind: Source
    ref: str
    came: Json
    went: Json | None
    row: Json
    """The document's row, as it was last."""


@dataclass(frozen=True, slots=True)
class Spans:
    """All of them, the newest last for each source and feature. `whole` False: older changes were not looked at."""

    all: Mapping[tuple[FeatureCode, str], Span]
    first: Json | None
    """The oldest change that is kept."""
    whole: bool

    def of(self, feature: FeatureCode, ref: str) -> Span | None:
        """The last span of a source."""
        return self.all.get((feature, ref))


def of(rows: Sequence[Row[Any]]) -> Spans:
    """Out of a user's last `MOST_CHANGES`, newest first, as `history.rows_of` gives them."""
    found: dict[tuple[FeatureCode, str], Span] = {}
    for row in reversed(rows):
        change = history.change_head(row)
        held = {(FeatureCode(one["feature_code"]), one["source_ref"]): one for one in row.body}
        for key, span in found.items():
            if span.went is None and key not in held:
                span.went = change
        for key, one in held.items():
            known = found.get(key)
            if known is None or known.went is not None:
                found[key] = Span(key[0], Source(one["source"]), key[1], change, None, one)
            else:
                known.row = one
    first = history.change_head(rows[-1]) if rows else None
    return Spans(found, first, len(rows) < MOST_CHANGES)
