"""Chapter: a payment on Stripe changes an answer on localhost, and nobody else's."""

from sandbox.clients import Json
from sandbox.demo.world import BACK, World, took
from sandbox.propagation import changed_by


async def play(world: World) -> None:
    """Denied, checkout, paid, allowed; the other app untouched."""
    report, notes, studio = world.report, world.notes, world.studio
    report.chapter("A payment: ada wants to export her notes")
    before = await notes.sidecar.check("ada", "export")
    report.expect(
        "Notes' sidecar: ada may not export, and it says which price would unlock it",
        before,
        allowed=False,
        reason="not_granted",
        stale=False,
        unlocked_by=[notes.prices.subscription],
    )
    free = await notes.sidecar.check("ada", "documents")
    report.expect("Everybody may keep 3 documents: the catalogue's default", free, allowed=True, value=3)
    untouched = await studio.sidecar.standing()

    session = await notes.writer.checkout("ada", notes.prices.subscription, BACK)
    report.require(
        "The writer opens a checkout for 9.00 a month on Stripe's own page",
        session["url"].startswith(world.stack.stripe_url),
        f"it answered {session}",
    )

    change = await changed_by(lambda: _pays(world, session), notes.sidecar, notes.writer, "ada", "export")
    report.expect(
        f"ada pays there; Notes' sidecar: ada may export. {took(change)}",
        change.answer,
        allowed=True,
        reason="granted",
        source="subscription",
        stale=False,
    )
    more = await notes.sidecar.check("ada", "documents")
    report.expect("and may keep 100 documents", more, allowed=True, value=100)
    await _others(world, untouched)


async def _pays(world: World, session: Json) -> None:
    """Press the button on the page, as a browser would."""
    async with world.stack.session.post(session["url"], data={"act": "pay"}, allow_redirects=False) as answer:
        target = answer.headers.get("Location", "")
    world.report.require(
        "Stripe's page takes the payment and sends ada back to the app",
        target == f"{BACK}?session_id={session['session_id']}",
        f"it answered {answer.status} with Location {target!r}",
    )


async def _others(world: World, untouched: Json) -> None:
    bob = await world.notes.sidecar.check("bob", "export")
    world.report.expect("bob, who has not paid, may not", bob, allowed=False, reason="not_granted")
    ada = await world.studio.sidecar.check("ada", "render")
    world.report.expect(
        "Studio's sidecar: ada of the other app may not render", ada, allowed=False, project_id="studio"
    )
    now = await world.studio.sidecar.standing()
    world.report.expect(
        f"and nothing of Studio has moved: revision {now['revision']} as before",
        now,
        **{name: untouched[name] for name in ("epoch", "revision", "digest", "count")},
    )
