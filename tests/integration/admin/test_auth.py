"""Who is let in, who is not, and what they are told."""

from datetime import timedelta

import pytest

from common.clock import SECOND, Instant, to_datetime
from tests.support.operating import ACTOR, ADMIN, NEXT_ADMIN_KEY, Operating
from writer.throttle import BURST, FORGIVEN_SECONDS

CHECK = "/api/v1/check?user_id=u&feature=pro"
PROJECTS = "/api/v1/admin/projects"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "missing_key"),
        ({"Authorization": ""}, "missing_key"),
        ({"Authorization": "Basic abc"}, "missing_key"),
        ({"Authorization": "Bearer "}, "missing_key"),
        ({"Authorization": "Bearer bk_" + "0" * 64}, "invalid_key"),
        ({"Authorization": "Bearer nonsense"}, "invalid_key"),
        ({"Authorization": "Bearer bk_" + "é" * 20}, "invalid_key"),
        ({"Authorization": "Bearer bk_" + "0" * 5000}, "invalid_key"),
    ],
)
async def test_without_a_good_key_nothing_is_told(side: Operating, headers: dict[str, str], code: str) -> None:
    """401 with a stable code and the scheme to use, on every kind of bad header."""
    async with side.client.get(CHECK, headers=headers) as response:
        assert response.status == 401
        assert (await response.json(content_type=None))["code"] == code
        assert response.headers["WWW-Authenticate"].startswith('Bearer realm="billing"')


async def test_a_key_opens_its_own_project_only(side: Operating) -> None:
    """A key of one project is answered 403 for another, and 200 for its own whether named or not."""
    shop = await side.project("shop")
    await side.project("blog")
    assert (await side.call("GET", CHECK, headers=shop))[0] == 200
    assert (await side.call("GET", f"{CHECK}&project_id=shop", headers=shop))[0] == 200
    status, body = await side.call("GET", f"{CHECK}&project_id=blog", headers=shop)
    assert (status, body["code"]) == (403, "wrong_project")


async def test_keys_and_admin_keys_are_not_exchangeable(side: Operating) -> None:
    """A project key on an admin route is 403, an unknown admin key 401, a rotated one is good."""
    shop = await side.project()
    status, body = await side.call("GET", PROJECTS, headers=shop)
    assert (status, body["code"]) == (403, "admin_key_required")
    status, body = await side.call("GET", PROJECTS, headers={"Authorization": "Bearer guess"})
    assert (status, body["code"]) == (401, "invalid_key")
    assert (await side.call("GET", PROJECTS, headers=ADMIN))[0] == 200
    assert (await side.call("GET", PROJECTS, headers={"Authorization": f"bearer {NEXT_ADMIN_KEY}"}))[0] == 200


async def test_the_admin_key_must_name_a_project(side: Operating) -> None:
    """Reading with the admin key works for a named project that exists."""
    await side.project()
    status, body = await side.call("GET", CHECK)
    assert (status, body["code"]) == (400, "project_required")
    status, body = await side.call("GET", f"{CHECK}&project_id=none")
    assert (status, body["code"]) == (404, "unknown_project")
    assert (await side.call("GET", f"{CHECK}&project_id=shop"))[0] == 200


async def test_a_revoked_key_is_refused_within_two_seconds(side: Operating) -> None:
    """A key that was just used is cached; two seconds later its revocation counts, also where nobody told."""
    shop = await side.project()
    assert (await side.call("GET", CHECK, headers=shop))[0] == 200
    (key,) = await side.operations.list_keys("shop")
    await side.operations.revoke_key("shop", key.id, "leaked", ACTOR)
    side.clock.ahead += 2
    status, body = await side.call("GET", CHECK, headers=shop)
    assert (status, body["code"]) == (401, "revoked_key")


async def test_expiry_counts_at_once_also_for_a_cached_key(side: Operating) -> None:
    """A key ends at its time, not when the cache looks next."""
    await side.operations.create_project("shop", "shop", [], ACTOR)
    ends = Instant(side.clock.now() + SECOND)
    new = await side.operations.create_key("shop", "web", ends, ACTOR)
    headers = {"Authorization": f"Bearer {new.secret.reveal()}"}
    assert (await side.call("GET", CHECK, headers=headers))[0] == 200
    side.clock.ahead += 1
    status, body = await side.call("GET", CHECK, headers=headers)
    assert (status, body["code"]) == (401, "expired_key")


async def test_rotation_leaves_both_keys_good_for_the_overlap(side: Operating) -> None:
    """The old key lives beside its successor for the overlap and no longer."""
    old = await side.project()
    (key,) = await side.operations.list_keys("shop")
    new = await side.operations.rotate_key("shop", key.id, timedelta(hours=1), ACTOR)
    fresh = {"Authorization": f"Bearer {new.secret.reveal()}"}
    assert [(await side.call("GET", CHECK, headers=one))[0] for one in (old, fresh)] == [200, 200]
    side.clock.ahead += 3600 + 1
    assert [(await side.call("GET", CHECK, headers=one))[0] for one in (old, fresh)] == [401, 200]


async def test_use_of_a_key_is_noted_to_the_minute_and_not_on_each_request(side: Operating) -> None:
    """Requests write nothing; the batch writes the minute, and a later batch never goes back."""
    shop = await side.project()
    for _ in range(3):
        await side.call("GET", CHECK, headers=shop)
    assert await side.rows("SELECT last_used_at FROM api_keys") == [(None,)]
    used_at = side.clock.now()
    await side.auth.note_use()
    ((noted,),) = await side.rows("SELECT last_used_at FROM api_keys")
    assert (noted.second, noted.microsecond) == (0, 0)
    assert abs((to_datetime(used_at) - noted).total_seconds()) < 61
    await side.auth.note_use()
    assert await side.rows("SELECT last_used_at FROM api_keys") == [(noted,)]


async def test_no_key_is_kept_in_the_database(side: Operating) -> None:
    """Neither the keys' table nor the audit log holds the secret, only its hash and first characters."""
    headers = await side.project()
    secret = headers["Authorization"].removeprefix("Bearer ")
    kept = str(await side.rows("SELECT k::text, (SELECT string_agg(l::text, ' ') FROM audit_log l) FROM api_keys k"))
    assert secret not in kept
    assert secret[:11] in kept
    assert len(secret) == 3 + 64


async def test_who_guesses_is_slowed_down_and_nobody_else(side: Operating) -> None:
    """After a burst of failures 429 with Retry-After; project keys and the admin key that was good here work on."""
    shop = await side.project()
    guess = {"Authorization": "Bearer guess"}
    assert (await side.call("GET", PROJECTS))[0] == 200
    codes = [(await side.call("GET", PROJECTS, headers=guess))[1]["code"] for _ in range(BURST + 1)]
    assert codes == ["invalid_key"] * BURST + ["too_many_failures"]
    async with side.client.get(CHECK, headers={"Authorization": f"Bearer bk_{'0' * 64}"}) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (429, "6")
    assert (await side.call("GET", CHECK, headers=shop))[0] == 200
    assert (await side.call("GET", PROJECTS))[0] == 200
    unseen = {"Authorization": f"Bearer {NEXT_ADMIN_KEY}"}
    assert (await side.call("GET", PROJECTS, headers=unseen))[0] == 429
    side.clock.ahead += FORGIVEN_SECONDS
    assert (await side.call("GET", PROJECTS, headers=unseen))[0] == 200
