"""All routes for operators but those that need the parts of a running writer beyond these."""

from aiohttp import web

from common.clock import Clock
from writer.admin.catalogue import CatalogueRoutes
from writer.admin.claims import ClaimRoutes
from writer.admin.entitlements import EntitlementRoutes
from writer.admin.events import EventRoutes
from writer.admin.explain import ExplainRoutes
from writer.admin.history import HistoryRoutes
from writer.admin.projects import ProjectRoutes
from writer.admin.records import RecordRoutes
from writer.admin.sidecars import SidecarRoutes
from writer.admin.users import UserRoutes
from writer.auth import Authenticator
from writer.operations.claims import Claims
from writer.operations.operations import Operations
from writer.operations.sidecars import SidecarDirectory


def operators_routes(
    auth: Authenticator, operations: Operations, clock: Clock, claims: Claims, sidecars: SidecarDirectory
) -> list[web.RouteDef]:
    """Each takes the admin key."""
    return [
        *ProjectRoutes(auth, operations).routes(),
        *EntitlementRoutes(auth, operations).routes(),
        *CatalogueRoutes(auth, operations).routes(),
        *EventRoutes(auth, operations).routes(),
        *HistoryRoutes(auth, operations, clock).routes(),
        *ClaimRoutes(auth, claims).routes(),
        *UserRoutes(auth, operations).routes(),
        *RecordRoutes(auth, operations, clock).routes(),
        *ExplainRoutes(auth, operations, sidecars).routes(),
        *SidecarRoutes(auth, operations, sidecars).routes(),
    ]
