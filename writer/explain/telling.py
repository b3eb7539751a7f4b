"""What was found of a user, as routes and `--json` show it."""

from collections.abc import Iterator
from typing import Any

from common.clock import format_time
from common.document import Source
from common.identifiers import FeatureCode
from writer.domain import fate
from writer.domain.fate import Fate, Verdict
from writer.explain import causes
from writer.explain.holdings import Holding
from writer.explain.spans import Span
from writer.explain.view import View

Json = dict[str, Any]


def whole(view: View) -> Json:
    """`features`, each with its answer, its `sources` and, where it is denied, its `causes`; and what stands around.

    A source of a feature names one of `holdings` by kind and ref, says whether it counts and if not why, and since
    when and until when it gave the feature: `came` and `went` are the changes, each with its cause and Stripe's event.
    """
    head, document = view.project.position, view.document
    return {
        "project_id": view.project.public_id,
        "user_id": view.user,
        "at": format_time(view.at),
        "past": view.past,
        "known": view.facts.user_ref is not None,
        "catalog_version": view.rules.definition.version,
        "head": {"epoch": head.epoch, "revision": head.revision},
        "document": None
        if document.position is None or document.since is None
        else {
            "epoch": document.position.epoch,
            "revision": document.position.revision,
            "since": format_time(document.since),
            "right": not view.scene.behind and view.scene.obstacle is None,
        },
        "customers": list(view.facts.customers),
        "features": [_feature(view, code) for code in view.features],
        "holdings": [_holding(one) for one in view.held],
        "events": [{"id": one.id, "status": one.status, **one.about} for one in view.scene.events],
        "limits": list(_limits(view)),
    }


def _feature(view: View, code: FeatureCode) -> Json:
    decision, definition = view.decision(code), view.rules.definition
    judged = [
        (one, _verdict(view, code, one))
        for one in view.held
        if one.concerns(code, definition) or view.spans.of(code, one.source.id) is not None
    ]
    known = code in definition.answered
    answer = {
        "feature": code,
        "kind": definition.answered[code].kind.value if known else None,
        "allowed": decision.allowed,
        "reason": decision.reason.value,
        "value": decision.value,
        "source": decision.source,
        "valid_to": None if decision.valid_to is None else format_time(decision.valid_to),
    }
    found = [] if decision.allowed else causes.of_denied(view.scene, code, decision, judged, known)
    return {
        **answer,
        "sources": [*(_source(view, code, *one) for one in judged), *_lost(view, code)],
        "unlocked_by": [view.prices.get(price) or {"price_id": price} for price in decision.unlocked_by],
        "causes": [causes.to_json(one) for one in found],
    }


def _verdict(view: View, code: FeatureCode, holding: Holding) -> Verdict:
    """Of a moment in the past the history has the last word: whose something was then is told by it alone."""
    verdict, span = holding.verdict(code, view.rules), view.spans.of(code, holding.source.id)
    if view.past and verdict.fate is Fate.COUNTS and (span is None or span.went is not None):
        return Verdict(
            Fate.ANOTHERS, "by the history it gave this user nothing then: it was somebody else's, or nobody's"
        )
    return verdict


def _source(view: View, code: FeatureCode, holding: Holding, verdict: Verdict) -> Json:
    span, row = view.spans.of(code, holding.source.id), verdict.row
    prices = [(item.price_id, fate.giving(item, code, view.rules.definition)) for item in holding.items]
    return {
        "kind": holding.kind.value,
        "ref": holding.source.id,
        "counts": verdict.fate is Fate.COUNTS,
        "fate": verdict.fate.value,
        "words": verdict.words,
        "value": verdict.value,
        "valid_from": None if row is None else format_time(row.valid_from),
        "valid_to": None if row is None or row.valid_to is None else format_time(row.valid_to),
        "given_by": [{"price_id": price, "plan": plan} for price, plan in prices if plan is not None],
        **_changes(span),
    }


def _lost(view: View, code: FeatureCode) -> Iterator[Json]:
    """What once gave it and is held no more, so that only the history tells of it."""
    held = {one.source.id for one in view.held}
    for (feature, ref), span in view.spans.all.items():
        if feature == code and ref not in held:
            yield {
                "kind": span.kind.value,
                "ref": ref,
                "counts": False,
                "fate": "gone",
                "words": "only the history tells of it; it is not held any more",
                "value": span.row["value"],
                "valid_from": span.row["valid_from"],
                "valid_to": span.row["valid_to"],
                "given_by": [],
                **_changes(span),
            }


def _changes(span: Span | None) -> Json:
    return {"came": None if span is None else span.came, "went": None if span is None else span.went}


def _holding(one: Holding) -> Json:
    return {"kind": one.kind.value, "ref": one.source.id, **one.about}


def _limits(view: View) -> Iterator[str]:
    """What is not known, in words."""
    if not view.spans.whole:
        yield "the user has more changes than are looked at: the oldest are left out"
    if not view.past:
        return
    first = view.spans.first
    if first is None:
        yield "no change of this user's is kept from then or before: nothing was held, or it was before this service"
    if any(one.kind is Source.SUBSCRIPTION and one.about["as_of"] is None for one in view.held):
        yield "what a subscription was then is not kept: it is shown as it is now"
    if any(one.kind is Source.PURCHASE for one in view.held):
        yield "whether a purchase was paid, and how a dispute ended, is known as of now only"
    yield "whose something was, parked events and sidecars are not kept: they are told of now only"
