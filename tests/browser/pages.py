"""Every page of the console with something on it, by its address."""

from tests.support import planted_faults as faults
from tests.support.planted_faults import Site


async def addresses(site: Site) -> list[str]:
    """Of a site on which something happened; each kind of page once, and some with what was wrong."""
    refunded = await faults.refunded_purchase(site, "pat")
    await faults.expired_grant(site, "pat")
    nobodys = await faults.subscription_without_user(site, "nat")
    project, user = site.project, f"project_id={site.project}&user_id=pat"
    grant = {"project_id": project, "user_id": "pat", "feature": site.bought_feature, "reason": "a test"}
    granted = await site.admin.call("POST", "/api/v1/admin/grant", body=grant)
    run = await site.admin.call("POST", "/api/v1/admin/reconcile", body={})
    events = await site.admin.call("GET", f"/api/v1/admin/events?object_id={refunded.object_id}")
    keys = await site.admin.call("GET", f"/api/v1/admin/projects/{project}/keys")
    key = f"/projects/{project}/keys/{keys['keys'][0]['id']}"
    return [
        "",
        "/customers?q=p",
        f"/customers/user?{user}",
        f"/customers/user?{user}&at=2026-01-01T00:00",
        f"/customers/revoke?{user}&grant_id={granted['grant_id']}",
        f"/customers/preview?{user}&act=buy&object_id={site.prices.subscription}",
        "/events",
        f"/events/{events['events'][0]['id']}",
        f"/events/replay?object_id={refunded.object_id}",
        "/unassigned",
        f"/unassigned/claim?object_id={nobodys.object_id}",
        "/projects",
        f"/projects/{project}",
        f"/projects/{project}/recompute",
        f"{key}/rotate",
        f"{key}/revoke",
        "/catalogue",
        f"/catalogue/{project}?version=2",
        "/sidecars",
        f"/sidecars/{project}/release",
        "/reconcile",
        f"/reconcile/{run['run_id']}",
        "/audit",
    ]
