"""The stand-in's store after a crash."""

from sandbox.stripe.store import Store


def test_ids_given_out_after_the_last_save_do_not_come_again() -> None:
    """A stand-in that was killed forgets what it had not saved, but never names two things alike."""
    before = Store()
    state = before.dump()
    lost = {before.new_id("evt") for _ in range(20)}
    after = Store()
    after.load(state)
    assert lost.isdisjoint(after.new_id("evt") for _ in range(20))


def test_a_seed_goes_on_where_it_was() -> None:
    """With a seed of the test's own, ids continue over a restart."""
    whole = Store("seed")
    expected = [whole.new_id("evt") for _ in range(4)]
    first = Store("seed")
    ids = [first.new_id("evt") for _ in range(2)]
    second = Store("seed")
    second.load(first.dump())
    assert ids + [second.new_id("evt") for _ in range(2)] == expected
