"""A new operator finds six planted faults, and mends them, from the console alone."""

import pytest

from tests.browser.tab import Tab
from tests.support import planted_faults as faults
from tests.support.planted_faults import Planted, Site
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.needs("chromium"),
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(120),  # the first one starts the site and the browser
]


async def _mended(site: Site, planted: Planted) -> None:
    """The sidecar, which is what the app asks, allows it."""

    async def asked() -> bool:
        answer = await site.sidecar.check(planted.user, planted.feature)
        return bool(answer["allowed"])

    await eventually(asked)


async def _grant(tab: Tab, reason: str) -> None:
    """Fill in the form at which a link led, look at what it would change, and agree."""
    await tab.fill("Reason", reason)
    await tab.press("Show what it would change")
    await tab.headed("Grant")
    row = tab.row("denied")
    assert "allowed" in await row.inner_text()
    await tab.press("Grant it")
    await tab.says("The grant is made.")


async def test_a_subscription_with_no_user(site: Site, tab: Tab) -> None:
    """Seen on the overview, said whose it is."""
    planted = await faults.subscription_without_user(site)
    await tab.page.reload()
    await tab.follow("bought by nobody we know")
    row = tab.row(planted.object_id)
    assert "no user is known for it" in await row.inner_text()
    await tab.follow("Say whose it is", row)
    await tab.fill("User id", planted.user)
    await tab.press("Show what it would change")
    await tab.says(f"nobody's now, is {planted.user}'s in {site.project} from now on")
    await tab.press("It is")
    await tab.headed(planted.user)
    assert "allowed" in await tab.row(planted.feature).inner_text()
    await _mended(site, planted)


async def test_a_parked_event(site: Site, tab: Tab) -> None:
    """Seen on the overview with its reason and payload, and replayed."""
    planted = await faults.parked_event(site)
    await tab.page.reload()
    await tab.follow("events parked")
    await tab.follow(planted.object_id)
    await tab.says("must be a list of objects")
    await tab.follow("Replay")
    await tab.says("is pending again")
    await tab.fill("Reason", "the sender has mended it")
    await tab.press("Replay")
    await tab.says("The event is pending again")
    await tab.comes_to_say("✓ applied")
    await _mended(site, planted)


async def test_a_feature_removed_from_the_catalogue(site: Site, tab: Tab) -> None:
    """The customer's page says who took it out and when; the version before is put in force by its effect."""
    planted = await faults.feature_removed(site)
    await tab.open(f"/customers?q={planted.object_id}")
    await tab.follow(planted.user)
    row = tab.row("unknown feature")
    assert f"took {planted.feature} out of the catalogue" in await row.inner_text()
    await tab.follow("Take the version before as a draft", row)
    await tab.press("Show what it would change")
    await tab.says(f"feature {chr(96)}{planted.feature}{chr(96)} is new")
    await tab.press("Put it in force")
    await tab.says("The catalogue is in force.")
    await _mended(site, planted)


async def test_an_expired_grant(site: Site, tab: Tab) -> None:
    """The customer's page says that it ended, and gives it again."""
    planted = await faults.expired_grant(site)
    await tab.fill("User id", planted.user)
    await tab.press("Find")
    await tab.follow(planted.user, tab.row(planted.user))
    await tab.headed(planted.user)
    row = tab.row("a week to try it")
    assert "ended" in await row.inner_text()
    assert "denied: expired" in await tab.row(planted.feature).inner_text()
    await tab.follow("Give again", row)
    await _grant(tab, "they liked it")
    await _mended(site, planted)


async def test_a_refunded_purchase(site: Site, tab: Tab) -> None:
    """Found by the purchase's id; where the money went back by mistake, it is granted."""
    planted = await faults.refunded_purchase(site)
    await tab.fill("User id", planted.object_id)
    await tab.press("Find")
    await tab.follow(planted.user, tab.row(planted.user))
    row = tab.row(planted.feature)
    assert "all of it was refunded" in await row.inner_text()
    await tab.follow("Grant it", row)
    await _grant(tab, "refunded by mistake, ticket 9")
    await _mended(site, planted)


async def test_a_sidecar_behind(site: Site, tab: Tab) -> None:
    """Seen on the overview and on the customer's page; nobody relays to it, until the lease is freed."""
    planted = await faults.sidecar_behind(site)
    await tab.comes_to_say("1 of 1 sidecars not in step")
    await tab.open(f"/customers/user?project_id={site.project}&user_id={planted.user}")
    await tab.says("it lacks this document, and may answer otherwise")
    await tab.follow(planted.object_id)
    assert "behind" in await tab.row(planted.object_id).inner_text()
    await tab.says("nobody relays: writer-that-is-gone holds the lease")
    await tab.follow("Free the lease")
    await tab.fill("Reason", "the database's clock had jumped")
    await tab.press("Free it")
    await tab.says("The lease is free")
    await tab.comes_to_say("✓ in step")
    await _mended(site, planted)
