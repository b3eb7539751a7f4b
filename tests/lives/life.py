"""A life: what one family of customers does over some months, drawn from a seed.

Names stand for what the acts make, so that a plan can be cut down: an act about something that never came to be is
passed over. A customer belongs to one user; whom a sale names besides is drawn, with every way of naming nobody.
"""

from collections.abc import Callable
from random import Random
from typing import Any, Final

from tests.lives.goods import FEATURES, ONE_TIME, PRICES, RECURRING
from tests.lives.plan import Act
from tests.lives.story import NAMING, Customer, Story

_DAYS: Final = (1, 6, 20, 45)
_DIES: Final = 0.15
_TRIES: Final = 0.2
_COMES_BACK: Final = 0.6
_IN_THE_WRONG_SHOP: Final = 0.05
_REGRETS: Final = 0.2
"""How often what was just bought is given back at once, so that the refund may be told before its purchase."""


def life(who: str, rng: Random, ticks: int, most: int) -> list[Act]:
    """The acts of one life, at ticks 0 to `ticks` - 1, about `most` of them."""
    story = Story(who, rng, ticks)
    moments = sorted(rng.randrange(ticks) for _ in range(rng.randint(max(3, most // 2), most)))
    story.tick = moments[0]
    _customer(story)
    for moment in moments:
        story.tick = moment
        possible = [(do, weight) for do, weight, needs in _ACTS if needs is None or getattr(story, needs)]
        story.draw(*possible)(story)
    return story.acts


def _customer(story: Story) -> None:
    project = story.draw(("alpha", 3), ("beta", 1))
    naming = story.draw(("full", 2), ("none", 1))
    made = Customer(story.new("c"), story.rng.choice(story.users), project, naming, story.rng.random() < _DIES)
    story.customers.append(made)
    story.dying += [made] if made.dies else []
    card = story.draw(("ok", 5), (None, 2), ("declined", 1))
    story.act("customer", name=made.name, user=made.user, project=project, naming=naming, card=card)


def _subscribe(story: Story) -> None:
    customer = story.rng.choice(story.customers)
    name, rng = story.new("s"), story.rng
    told = story.named(customer, NAMING)
    lines = [(price, story.draw((q, 9), (0, 1))) for price, q in story.lines(RECURRING, 2)]
    extra: dict[str, Any] = {}
    if rng.random() < 0.3:
        extra = {"trial_days": rng.choice((3, 14)), "missing": rng.choice(("create_invoice", "cancel", "pause"))}
    kind = story.draw(("plain", 6), ("coupon", 2), ("by_invoice", 1), ("cancel_days", 1))
    kinds: dict[str, dict[str, Any]] = {
        "coupon": {"coupon": rng.choice(("free", "half"))},
        "by_invoice": {"by_invoice": True},
        "cancel_days": {"cancel_days": rng.choice(_DAYS)},
    }
    extra |= kinds.get(kind, {})
    story.subscriptions.append(name)
    story.act("subscribe", name=name, customer=customer.name, lines=lines, **told, **extra)


def _checkout(story: Story) -> None:
    rng, name = story.rng, story.new("k")
    customer = story.draw((rng.choice(story.customers), 3), (None, 1))
    mode = story.draw(("payment", 3), ("subscription", 2))
    lines = story.lines(ONE_TIME if mode == "payment" else RECURRING, 2)
    extra: dict[str, Any] = {}
    if mode == "subscription":
        lines += story.lines(ONE_TIME, 1) if rng.random() < 0.3 else []
        extra["names_subscription"] = rng.random() < 0.5
        extra |= {"trial_days": 7} if rng.random() < 0.2 else {}
        story.subscriptions.append(f"{name}.subscription")
    extra |= {"coupon": story.draw(("free", 1), ("half", 1))} if rng.random() < 0.2 else {}
    told = story.named(customer, (*NAMING, ("reference", 5)))
    outcome = story.draw(("pay", 6), ("pay_async", 2), ("fail then pay", 1), ("leave", 1), ("expire", 1))
    story.sessions.append(name)
    if mode == "payment" and outcome in {"pay", "pay_async", "fail then pay"}:
        story.paid.append(name)
    if outcome in {"pay_async", "leave"}:
        story.unpaid.append(name)
    buyer = {} if customer is None else {"customer": customer.name}
    story.act("checkout", name=name, mode=mode, lines=lines, outcome=outcome, **buyer, **told, **extra)
    _afterwards(story, name, recurring=mode == "subscription")


def _order(story: Story) -> None:
    """By the shop's own app, which asks the writer; in several tabs at once, or with an impatient finger."""
    rng, name = story.rng, story.new("o")
    price = rng.choice((*RECURRING, *ONE_TIME))
    recurring = PRICES[price].interval is not None
    project = "beta" if price.startswith("star") else "alpha"
    if rng.random() < _IN_THE_WRONG_SHOP:
        project = "beta" if project == "alpha" else "alpha"
    customer = Customer(f"{name}.customer", rng.choice(story.users), project, "full", rng.random() < _DIES)
    outcome = story.draw(("pay", 7), ("pay_async", 2), ("fail then pay", 1), ("leave", 1), ("expire", 1))
    story.customers.append(customer)
    story.dying += [customer] if customer.dies else []
    story.sessions.append(name)
    if recurring:
        story.subscriptions.append(f"{name}.subscription")
    elif outcome not in {"leave", "expire"}:
        story.paid.append(name)
    if outcome in {"pay_async", "leave"}:
        story.unpaid.append(name)
    clicks, keys = story.draw((1, 3), (2, 2), (3, 1)), story.draw(("none", 3), ("same", 2), ("each", 1))
    trial = {"trial_days": 7} if recurring and rng.random() < _TRIES else {}
    story.act(
        "order", name=name, user=customer.user, project=project, price=price, quantity=story.draw((1, 4), (3, 1)),
        clicks=clicks, keys=keys, outcome=outcome, **trial,
    )  # fmt: skip
    _afterwards(story, name, recurring=recurring)


def _afterwards(story: Story, session: str, *, recurring: bool) -> None:
    """Regret at once, or come back to the shop, whose app confirms; or both, in the same second."""
    regrets = story.rng.random() < _REGRETS
    if regrets and session in story.paid:
        _refund_of(story, session)
    elif story.rng.random() < _COMES_BACK:
        if regrets and recurring:
            how = story.draw(("now", 2), ("period_end", 1))
            story.act("regret", session=session, subscription=f"{session}.subscription", how=how)
        else:
            story.act("confirm", session=session)


def _confirm(story: Story) -> None:
    story.act("confirm", session=story.rng.choice(story.sessions))


def _settle(story: Story) -> None:
    outcome = story.draw(("async_succeed", 3), ("async_fail", 1), ("pay", 1))
    story.act("settle", session=story.rng.choice(story.unpaid), outcome=outcome)


def _change_item(story: Story) -> None:
    change = story.draw(
        ({"price": story.rng.choice(RECURRING)}, 4),
        ({"quantity": story.rng.choice((0, 1, 2, 7))}, 3),
        ({"removed": True}, 1),
    )
    proration = story.draw(("none", 1), ("create_prorations", 1), ("always_invoice", 1))
    item, subscription = story.rng.randrange(2), story.rng.choice(story.subscriptions)
    story.act("change_item", subscription=subscription, item=item, proration=proration, **change)


def _add_item(story: Story) -> None:
    price, quantity = story.rng.choice(RECURRING), story.draw((1, 3), (4, 1))
    story.act("add_item", subscription=story.rng.choice(story.subscriptions), price=price, quantity=quantity)


def _cancel(story: Story) -> None:
    how = story.draw(("now", 2), ("period_end", 4), ("undo", 3), (story.rng.choice(_DAYS), 2))
    story.act("cancel", subscription=story.rng.choice(story.subscriptions), how=how)


def _pause(story: Story) -> None:
    how = story.draw(("keep_as_draft", 1), ("void", 1), ("mark_uncollectible", 1), ("collect", 2), ("resume", 2))
    story.act("pause", subscription=story.rng.choice(story.subscriptions), how=how)


def _card(story: Story) -> None:
    outcome = story.draw(("fail", 3), ("succeed", 2), ("async", 0))
    story.act("card", customer=story.rng.choice(story.customers).name, outcome=outcome)


def _invoice(story: Story) -> None:
    how = story.draw(("pay", 3), ("void", 1), ("mark_uncollectible", 1), ("finalize", 1))
    story.act("invoice", subscription=story.rng.choice(story.subscriptions), how=how)


def _refund(story: Story) -> None:
    _refund_of(story, story.rng.choice(story.paid))


def _refund_of(story: Story, session: str) -> None:
    name = story.new("r")
    status = story.draw((None, 4), ("pending", 2), ("failed", 1))
    parts = story.draw((1, 3), (2, 2), (3, 1))
    story.refunds.append(name)
    story.act("refund", name=name, session=session, parts=parts, status=status)


def _move_refund(story: Story) -> None:
    status = story.draw(("succeeded", 2), ("failed", 2), ("canceled", 1))
    story.act("move_refund", refund=story.rng.choice(story.refunds), status=status)


def _dispute(story: Story) -> None:
    name = story.new("d")
    status = story.draw(("needs_response", 3), ("warning_needs_response", 1))
    story.disputes.append(name)
    story.act("dispute", name=name, session=story.rng.choice(story.paid), status=status)


def _close_dispute(story: Story) -> None:
    status = story.draw(("lost", 2), ("won", 1), ("warning_closed", 1))
    story.act("close_dispute", dispute=story.rng.choice(story.disputes), status=status)


def _delete_customer(story: Story) -> None:
    story.act("delete_customer", customer=story.rng.choice(story.dying).name)


def _name_subscription(story: Story) -> None:
    told = {"naming": story.draw(("full", 2), ("user", 2)), "user": story.rng.choice(story.users)}
    project = story.draw(("alpha", 3), ("beta", 1))
    story.act("name", kind="subscription", of=story.rng.choice(story.subscriptions), project=project, **told)


def _name_customer(story: Story) -> None:
    customer = story.rng.choice(story.customers)
    if customer.naming == "full":
        user = story.rng.choice(story.users)
        story.act("name", kind="customer", of=customer.name, project=customer.project, user=user, naming="full")


def _grant(story: Story) -> None:
    feature = story.rng.choice(list(FEATURES))
    name, value = story.new("g"), story.rng.choice(FEATURES[feature])
    user, days = story.rng.choice(story.users), story.draw((None, 1), (3, 1), (40, 1))
    story.gifts.append(name)
    story.act("grant", name=name, user=user, feature=feature, value=value, days=days, wait=story.draw((0, 3), (2, 1)))


def _revoke(story: Story) -> None:
    story.act("revoke", gift=story.rng.choice(story.gifts))


_ACTS: Final[tuple[tuple[Callable[[Story], None], int, str | None], ...]] = (
    (_customer, 4, None),
    (_subscribe, 16, "customers"),
    (_checkout, 13, "customers"),
    (_order, 8, None),
    (_confirm, 3, "sessions"),
    (_settle, 6, "unpaid"),
    (_change_item, 10, "subscriptions"),
    (_add_item, 4, "subscriptions"),
    (_cancel, 9, "subscriptions"),
    (_pause, 4, "subscriptions"),
    (_card, 8, "customers"),
    (_invoice, 4, "subscriptions"),
    (_refund, 10, "paid"),
    (_move_refund, 5, "refunds"),
    (_dispute, 5, "paid"),
    (_close_dispute, 5, "disputes"),
    (_delete_customer, 4, "dying"),
    (_name_subscription, 3, "subscriptions"),
    (_name_customer, 2, "customers"),
    (_grant, 4, None),
    (_revoke, 2, "gifts"),
)
"""What may come next, how often, and what must be there for it."""
