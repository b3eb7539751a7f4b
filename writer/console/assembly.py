"""Puts the console together: one application of its own, below /console."""

from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from common.clock import Clock
from common.settings import Secret
from writer.auth import Authenticator
from writer.console.audit import AuditPage
from writer.console.catalogue import CataloguePages
from writer.console.customers import CustomerPages
from writer.console.events import EventPages
from writer.console.grants import GrantActs
from writer.console.guard import Guard
from writer.console.overview import OverviewPage
from writer.console.pages import Pages
from writer.console.preview import PreviewPage
from writer.console.projects import ProjectPages
from writer.console.reconcile import ReconcilePages
from writer.console.session import Sessions
from writer.console.sidecars import SidecarPages
from writer.console.sign_in import SignIn
from writer.console.unassigned import UnassignedPages
from writer.operations.claims import Claims
from writer.operations.operations import Operations
from writer.operations.sidecars import SidecarDirectory
from writer.reconcile.requests import ReconcileRequests
from writer.unavailable import database_problems


@dataclass(frozen=True, slots=True)
class Desk:
    """What the console stands on."""

    auth: Authenticator
    admin_keys: Sequence[Secret]
    operations: Operations
    claims: Claims
    directory: SidecarDirectory
    reconcile: ReconcileRequests
    clock: Clock


def console(desk: Desk) -> web.Application:
    """The application, to be added below `pages.PREFIX`."""
    pages, operations = Pages(), desk.operations
    guard = Guard(Sessions(desk.admin_keys, desk.clock), pages, desk.clock)
    customers = CustomerPages(pages, operations, desk.directory, desk.clock)
    app = web.Application(middlewares=[guard.middleware, database_problems])
    app.router.add_get("/static/{file}", pages.file)
    for part in (
        SignIn(pages, guard, desk.auth),
        OverviewPage(pages, operations, desk.directory, desk.clock),
        customers,
        GrantActs(pages, operations, customers),
        PreviewPage(pages, operations),
        EventPages(pages, operations),
        UnassignedPages(pages, operations, desk.claims),
        ProjectPages(pages, operations, desk.clock),
        CataloguePages(pages, operations),
        SidecarPages(pages, operations, desk.directory),
        ReconcilePages(pages, desk.reconcile),
        AuditPage(pages, operations),
    ):
        app.add_routes(part.routes())
    return app
