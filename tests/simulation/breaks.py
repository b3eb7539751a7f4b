"""The product broken on purpose, to see that a simulation notices."""

from collections.abc import Callable
from typing import Final

import pytest

from tests.simulation import sidecar_breaks, writer_breaks

Break = Callable[[pytest.MonkeyPatch], None]

BREAKS: Final[dict[str, Break]] = {
    one.__name__: one
    for one in (
        writer_breaks.publish_before_commit,
        sidecar_breaks.snapshot_before_subscribe,
        sidecar_breaks.ignore_the_epoch,
        writer_breaks.accept_an_older_document,
        sidecar_breaks.accept_an_older_revision,
        writer_breaks.delete_instead_of_an_empty_document,
        sidecar_breaks.skip_the_digest,
        sidecar_breaks.no_gap_check,
        sidecar_breaks.trust_an_empty_log,
        writer_breaks.heartbeat_without_head,
        writer_breaks.refill_without_its_token,
        writer_breaks.two_relays_without_the_lease,
        sidecar_breaks.believe_an_unverified_copy,
        sidecar_breaks.answer_for_whom_the_copy_lacks,
        sidecar_breaks.install_what_was_loaded,
        sidecar_breaks.count_age_from_arrival,
        writer_breaks.keep_the_epoch,
        writer_breaks.do_not_inspect,
    )
}
"""By name, as `python -m tests.simulation --break NAME` takes them."""

SEEN_AT: Final[dict[str, tuple[int, ...]]] = {
    "publish_before_commit": (1,),
    "snapshot_before_subscribe": (200, 335),
    "ignore_the_epoch": (2,),
    "accept_an_older_document": (3,),
    "accept_an_older_revision": (2,),
    "delete_instead_of_an_empty_document": (1,),
    "skip_the_digest": (121,),
    "no_gap_check": (58,),
    "trust_an_empty_log": (26,),
    "heartbeat_without_head": (97,),
    "refill_without_its_token": (2,),
    "two_relays_without_the_lease": (2,),
    "believe_an_unverified_copy": (121,),
    "answer_for_whom_the_copy_lacks": (212, 130),
    "install_what_was_loaded": (297, 190),
    "count_age_from_arrival": (499, 218),
    "keep_the_epoch": (89, 86),
    "do_not_inspect": (7,),
}
"""Seeds of worlds in which each was noticed: they are tried first. Where draws change, that costs time and no truth."""
