"""A project's copy, change by change."""

from hypothesis import given
from hypothesis import strategies as st

from common.document import digest_of
from common.identifiers import FeatureCode, UserId
from common.position import Position
from common.wire import Change
from sidecar.replica import Applied, Compared, Copy, Installed, Replica
from tests.support.history import History, feature, grant


def loaded(history: History) -> Copy:
    """A copy as a snapshot of now gives it."""
    copy = Copy(history.project, history.catalogue, history.position)
    for document in history.documents.values():
        copy.hold(document)
    return copy


def proven(history: History) -> Copy:
    """A copy that was found equal."""
    copy = loaded(history)
    assert copy.compare(history.position, history.count, history.digest) is Compared.MATCHES
    return copy


def test_the_next_revision_is_applied() -> None:
    """A change that is the next revision changes the document, the position and the digest."""
    history = History()
    copy = proven(history)
    change = history.change("ann", grant())
    assert copy.apply(change) is Applied.APPLIED
    assert copy.position == history.position
    assert copy.rows(UserId("ann"), FeatureCode("pro")) == (grant(),)
    assert (copy.count, copy.digest) == (1, digest_of(change.document))
    assert copy.complete


def test_a_change_that_was_had_already_is_named_so() -> None:
    """The same revision again, or an older one, leaves the copy as it is."""
    history = History()
    copy = proven(history)
    first, second = history.change("ann", grant()), history.change("ann")
    copy.apply(first)
    copy.apply(second)
    assert copy.apply(second) is Applied.NOT_NEWER
    assert copy.apply(first) is Applied.NOT_NEWER
    assert (copy.count, copy.digest) == (0, 0)


def test_a_missing_revision_is_a_gap() -> None:
    """A change beyond the next revision is not applied."""
    history = History()
    copy = proven(history)
    history.change("ann", grant())
    assert copy.apply(history.change("bob", grant())) is Applied.GAP
    assert copy.count == 0


def test_other_epochs_are_never_applied() -> None:
    """A newer lineage asks for a fresh copy, an older one is passed over, even at the next revision."""
    history = History(epoch=5)
    copy = proven(history)
    before = copy.position
    newer, older = History(epoch=6), History(epoch=4)
    assert copy.apply(newer.change("ann", grant())) is Applied.NEW_EPOCH
    assert copy.apply(older.change("ann", grant())) is Applied.OLD_EPOCH
    assert copy.position == before
    assert copy.count == 0


def test_a_catalogue_is_one_revision() -> None:
    """A new catalogue takes the place of the old and moves the position."""
    history = History()
    copy = proven(history)
    assert copy.apply(history.edit(feature("other"))) is Applied.APPLIED
    assert list(copy.catalogue.features) == ["other"]
    assert copy.position == history.position


def test_digests_are_compared_only_at_an_equal_position() -> None:
    """A heartbeat of another position proves nothing and disproves nothing."""
    history = History()
    copy = loaded(history)
    history.change("ann", grant())
    assert copy.compare(history.position, history.count, history.digest) is Compared.ELSEWHERE
    assert not copy.complete


def test_a_differing_digest_ends_completeness() -> None:
    """A copy whose digest differs at an equal position no longer answers a miss."""
    history = History()
    copy = proven(history)
    assert copy.compare(history.position, history.count + 1, history.digest) is Compared.DIFFERS
    assert not copy.complete
    assert copy.compare(history.position, history.count, 7) is Compared.DIFFERS
    assert copy.compare(history.position, history.count, history.digest) is Compared.MATCHES
    assert copy.complete


def test_a_warm_start_is_consistent_only_at_the_highest_revision_that_it_read() -> None:
    """Documents newer than the base are kept while the log catches up; digests are compared only then."""
    history = History()
    base = history.position
    copy = Copy(history.project, history.catalogue, base)
    older, other, newest = (
        history.change("ann", grant("seats", 1)),
        history.change("bob", grant()),
        history.change("ann", grant("seats", 2)),
    )
    copy.hold(newest.document)
    assert copy.position < copy.horizon
    assert copy.apply(older) is Applied.APPLIED
    assert copy.rows(UserId("ann"), FeatureCode("seats")) == (grant("seats", 2),)
    assert copy.apply(other) is Applied.APPLIED
    assert copy.compare(copy.position, copy.count, copy.digest) is Compared.ELSEWHERE
    assert copy.apply(newest) is Applied.APPLIED
    assert copy.consistent
    assert copy.compare(history.position, history.count, history.digest) is Compared.MATCHES


def test_a_catalogue_newer_than_the_base_is_kept() -> None:
    """A catalogue read after the base is not undone by the log below it."""
    history = History()
    base = history.position
    first, second = history.edit(feature("one")), history.edit(feature("two"))
    copy = Copy(history.project, second.catalogue, base)
    copy.apply(first)
    assert list(copy.catalogue.features) == ["two"]
    assert copy.position < copy.horizon
    copy.apply(second)
    assert copy.consistent


def test_good_state_is_not_replaced_by_older_or_unproven_state() -> None:
    """A candidate must be proven, and not older; unproven, it must be newer than what is unproven too."""
    history = History()
    replica = Replica(history.project)
    assert Replica(history.project).synced is False
    older = proven(history)
    history.change("ann", grant())
    assert replica.install(proven(history)) is Installed.INSTALLED
    assert replica.synced
    assert replica.install(older) is Installed.OLDER
    assert replica.install(loaded(history)) is Installed.UNPROVEN
    same = proven(history)
    assert replica.install(same) is Installed.INSTALLED
    history.change("bob", grant())
    newer = loaded(history)
    newer.compare(newer.position, 9, 9)
    assert replica.install(newer) is Installed.UNPROVEN
    assert replica.install(loaded(history)) is Installed.UNPROVEN
    assert replica.copy is same
    unproven = Replica(history.project)
    unproven.install(loaded(history))
    history.change("cid", grant())
    assert unproven.install(loaded(history)) is Installed.INSTALLED


def test_a_copy_of_a_newer_epoch_is_newer() -> None:
    """A new lineage takes the place of an old one, also at a lower revision."""
    history = History()
    for _ in range(5):
        history.change("ann", grant())
    replica = Replica(history.project)
    replica.install(proven(history))
    fresh = proven(History(epoch=2))
    assert fresh.position == Position(2, 1)
    assert replica.install(fresh) is Installed.INSTALLED


def test_what_a_copy_lacked_is_known_after_a_repair() -> None:
    """Users whose document should have been the same are named, users who changed since are not."""
    history = History()
    history.change("ann", grant())
    history.change("bob", grant())
    wrong = loaded(history)
    wrong.records.put(
        history.documents[UserId("ann")].__class__(
            UserId("ann"), history.project, 1, 2, history.documents[UserId("ann")].computed_at, (grant("seats", 9),)
        )
    )
    right = loaded(history)
    assert wrong.lacks(right, UserId("ann"))
    assert not wrong.lacks(right, UserId("bob"))
    history.change("bob", grant("seats", 1))
    later = loaded(history)
    assert wrong.lacks(later, UserId("ann"))
    assert not wrong.lacks(later, UserId("bob"))


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[History, list[Change]]:
    """A history, and its changes as a lossy, repeating, reordering channel would bring them."""
    history = History()
    for _ in range(draw(st.integers(1, 12))):
        user = draw(st.sampled_from("abc"))
        history.change(user, *draw(st.sampled_from([(), (grant(),), (grant("seats", 3), grant())])))
    delivered = draw(st.lists(st.sampled_from(history.changes), max_size=40))
    return history, delivered


@given(deliveries())
def test_any_delivery_ends_equal_once_gaps_are_filled(drawn: tuple[History, list[Change]]) -> None:
    """Duplicates, losses and disorder never make a copy wrong: at each revision it equals the history there."""
    history, delivered = drawn
    start = History()
    copy = proven(start)
    for change in delivered:
        before = copy.position
        outcome = copy.apply(change)
        moved = copy.position.revision - before.revision
        assert (outcome, moved) in {(Applied.APPLIED, 1), (Applied.NOT_NEWER, 0), (Applied.GAP, 0)}
    for change in history.changes[copy.position.revision :]:
        assert copy.apply(change) is Applied.APPLIED
    assert copy.compare(history.position, history.count, history.digest) is Compared.MATCHES
    assert {user: copy.document(user) for user in copy.records} == {
        user: document for user, document in history.documents.items() if document.entitlements
    }
