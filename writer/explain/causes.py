"""Why a feature is denied, in words, and what to do about it: the likeliest first."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from shlex import quote
from typing import Any, Final

from common.clock import Instant, format_time
from common.decision import Decision
from common.document import Source
from common.identifiers import FeatureCode, UserId
from writer.domain.fate import Fate, Verdict
from writer.explain.facts import Facts
from writer.explain.holdings import Holding
from writer.explain.strays import Event, Nobodys
from writer.operations.projects import Project

MOST_CANDIDATES: Final = 5
"""Purchases of nobody's that are named although nothing but what they give speaks for them."""


_PAY: Final = "the customer has to pay, or the bank to confirm; until then nothing, or {grant}"
_AGAIN: Final = "it has to be bought again, or given again: {grant}"
_MONEY_BACK: Final = "right as it is, unless the money went back by mistake: then {grant}"
_CLAIM: Final = "if it is this user's: billing claim {ref} {user}"
_CATALOGUE: Final = "put that into catalog.yaml, then billing catalog apply catalog.yaml"
_MEND: Final = {
    Fate.STATUS: _PAY,
    Fate.GRACE_OVER: _PAY,
    Fate.NOT_PAID: _PAY,
    Fate.ENDED: _AGAIN,
    Fate.EXPIRED: _AGAIN,
    Fate.REVOKED: _AGAIN,
    Fate.REFUNDED: _MONEY_BACK,
    Fate.DISPUTE_LOST: _MONEY_BACK,
    Fate.LAPSED: "billing reconcile asks Stripe what became of {ref}; billing stripe doctor says whether events arrive",
    Fate.UNASSIGNED: _CLAIM,
    Fate.ANOTHERS: _CLAIM,
    Fate.NOT_PLACED: _CATALOGUE,
    Fate.NOT_IN_PLAN: _CATALOGUE,
    Fate.UNKNOWN_FEATURE: _CATALOGUE,
    Fate.NO_QUANTITY: "the customer has to buy at least one",
    Fate.NOT_YET: "wait until it begins, or {grant}",
}

_BY_CATALOGUE: Final = {Fate.UNKNOWN_FEATURE, Fate.NOT_IN_PLAN}
"""What a feature that is gone explains by itself."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One of them. `code` is stable; `object_id` is what it lies with, where that has an id."""

    code: str
    words: str
    mend: str
    object_id: str | None = None


@dataclass(frozen=True, slots=True)
class Removed:
    """A feature that a catalogue had: the version without it, when that came into force, and by whom."""

    version: int
    at: Instant
    actor: str


@dataclass(frozen=True, slots=True)
class Scene:
    """What stands around a user's features. Of a moment in the past only `removed` is known."""

    project: Project
    user: UserId
    facts: Facts
    events: Sequence[Event] = ()
    nobodys: Sequence[Nobodys] = ()
    behind: Collection[FeatureCode] = ()
    """Features that would be answered otherwise, were the document computed again."""
    obstacle: str | None = None
    """Why it cannot be computed."""
    job: int | None = None
    """A recompute job of the project that is not finished."""
    removed: Mapping[FeatureCode, Removed] = field(default_factory=dict)

    @property
    def who(self) -> str:
        """As commands name them; a user id may hold what a shell would take for its own."""
        return f"{quote(self.user)} {self.project.public_id}"


def of_denied(
    scene: Scene, feature: FeatureCode, decision: Decision, judged: Sequence[tuple[Holding, Verdict]], known: bool
) -> list[Cause]:
    """Why `feature` is denied; `known`: the catalogue has it."""
    found = [
        *_catalogue(scene, feature, known=known),
        *_document(scene, feature),
        *_events(scene.events),
        *_theirs(scene),
        *_sources(scene, feature, judged, known=known),
    ]
    if known and decision.value == 0:
        words = f"{feature} is a limit of 0, which allows nothing"
        found.append(Cause("zero_limit", words, f"sell or grant a higher one: {_grant(scene, feature)} --value N"))
    return [*(found or _nothing(scene, feature)), *_candidates(scene, feature)]


def to_json(cause: Cause) -> dict[str, Any]:
    """As routes and `--json` show it."""
    return asdict(cause)


def _catalogue(scene: Scene, feature: FeatureCode, *, known: bool) -> Iterator[Cause]:
    if known:
        return
    name = scene.project.public_id
    removed = scene.removed.get(feature)
    if removed is None:
        words = f"the catalogue of {name} has no feature {feature}, and never had one of this code: a typo?"
        yield Cause("unknown_feature", words, f"billing catalog show {name} lists its features")
        return
    left = f"version {removed.version}, {format_time(removed.at)}"
    words = f"{removed.actor} took {feature} out of the catalogue of {name}: {left}"
    mend = f"put it back: billing catalog show {name} > catalog.yaml, add it, billing catalog apply catalog.yaml"
    yield Cause("feature_removed", words, mend, f"catalog:{removed.version}")


def _document(scene: Scene, feature: FeatureCode) -> Iterator[Cause]:
    if scene.obstacle is not None:
        yield Cause("not_computed", scene.obstacle, f"mend what it says, then billing recompute {scene.who}")
    elif feature in scene.behind and scene.job is not None:
        words = f"a catalogue or an operator's job is being worked off, and has not come to {scene.user} yet"
        yield Cause("recompute_running", words, "billing catalog jobs shows how far it is", f"job:{scene.job}")
    elif feature in scene.behind:
        words = "what is bought and granted gives it, and the document was not computed since"
        yield Cause("document_behind", words, f"billing recompute {scene.who}")


def _sources(
    scene: Scene, feature: FeatureCode, judged: Sequence[tuple[Holding, Verdict]], *, known: bool
) -> Iterator[Cause]:
    newest_first = sorted(judged, key=lambda one: one[0].since, reverse=True)
    for holding, verdict in newest_first:
        if verdict.fate is Fate.COUNTS or (verdict.fate in _BY_CATALOGUE and not known):
            continue
        what = "grant" if holding.kind is Source.MANUAL else holding.kind.value
        words = f"{what} {holding.source.id}: {verdict.words}"
        yield Cause(f"source_{verdict.fate.value}", words, _mend(scene, feature, holding, verdict), holding.source.id)


def _mend(scene: Scene, feature: FeatureCode, holding: Holding, verdict: Verdict) -> str:
    words = {"ref": holding.source.id, "user": quote(scene.user), "grant": _grant(scene, feature)}
    return _MEND[verdict.fate].format(**words)


def _events(events: Sequence[Event]) -> Iterator[Cause]:
    for one in events:
        about = one.about
        if one.status == "parked":
            words = f"{about['type']} about {about['object_id']} was given up: {about['reason']}"
            mend = f"mend what it says, then billing events replay {one.id} --wait 10"
            yield Cause("parked_event", words, mend, one.id)
        else:
            failed = f" after {about['attempts']} failures: {about['reason']}" if about["reason"] else ""
            words = f"{about['type']} about {about['object_id']} waits to be applied{failed}"
            yield Cause("pending_event", words, f"a running writer works on it; billing events show {one.id}", one.id)


def _theirs(scene: Scene) -> Iterator[Cause]:
    """What is nobody's although something says that it is this user's."""
    for one in scene.nobodys:
        if one.named:
            words = f"{_what(one)} is this user's by customer, metadata or address, and nobody's: {one.found.reason}"
            yield Cause("nobodys", words, _claiming(scene, one), one.found.id)


def _candidates(scene: Scene, feature: FeatureCode) -> Iterator[Cause]:
    """What is nobody's and would give the feature: the operator has to know whose it is."""
    fitting = [one for one in scene.nobodys if not one.named and feature in one.features]
    for one in fitting[:MOST_CANDIDATES]:
        words = f"{_what(one)} would give {feature} and is nobody's: is it {scene.user}'s?"
        yield Cause("nobodys_candidate", words, _claiming(scene, one), one.found.id)


def _what(one: Nobodys) -> str:
    told = f", of {one.email}" if one.email else ""
    return f"{one.found.id} ({', '.join(one.found.products)}; customer {one.found.customer_id}{told})"


def _claiming(scene: Scene, one: Nobodys) -> str:
    return one.found.mend.replace(" USER", f" {quote(scene.user)}")


def _nothing(scene: Scene, feature: FeatureCode) -> Iterator[Cause]:
    """Where nothing speaks for the user at all."""
    facts, name = scene.facts, scene.project.public_id
    if facts.other_projects:
        words = f"{scene.user} is known in {', '.join(facts.other_projects)}; here is {name}"
        yield Cause("other_project", words, "look there: billing explain USER PROJECT")
    if facts.user_ref is None:
        words = f"{name} never heard of {scene.user}: nothing was bought by or granted to this user id"
        mend = "is the id spelled as the app spells it? billing unassigned shows what is nobody's"
        yield Cause("unknown_user", words, mend)
    else:
        words = f"nothing that {scene.user} holds in {name} gives {feature}"
        yield Cause("no_source", words, f"it has to be bought, or given: {_grant(scene, feature)}")


def _grant(scene: Scene, feature: FeatureCode) -> str:
    return f'billing grant {scene.who} {feature} --reason "…"'
