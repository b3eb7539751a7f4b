"""Redis's key names are a contract: operators type them."""

import pytest

from common import keys
from common.identifiers import ProjectId, UserId

SHOP = ProjectId("project_456")


def test_key_names_are_the_contract() -> None:
    """Each kind of key has the name that operators know it by."""
    assert keys.document(UserId("user_123"), SHOP) == "entitlements:user_123:project_456"
    assert keys.webhook("evt_1") == "webhook:evt_1"
    assert (keys.meta(SHOP), keys.users(SHOP)) == ("billing:meta:project_456", "billing:users:project_456")
    assert keys.catalog(SHOP) == "billing:catalog:project_456"
    assert keys.changes(7, SHOP) == "billing:changes:7:project_456"
    assert keys.sidecar(SHOP, "pod-1") == "billing:sidecar:project_456:pod-1"
    assert keys.sidecars(SHOP) == "billing:sidecars:project_456"
    assert keys.channel(SHOP) == "billing:invalidate:project_456"


@pytest.mark.parametrize("user", ["user_123", "org:7:seat", "::", "Zoë"])
def test_a_documents_key_is_split_from_the_right(user: str) -> None:
    """A user id may hold colons, a project id may not."""
    assert keys.split_document(keys.document(UserId(user), SHOP)) == (user, SHOP)


@pytest.mark.parametrize("key", ["entitlements:user_123", "entitlements::shop", "entitlements:user:", "webhook:evt_1"])
def test_other_keys_are_of_no_user(key: str) -> None:
    """What is no document's key names nobody."""
    assert keys.split_document(key) is None
