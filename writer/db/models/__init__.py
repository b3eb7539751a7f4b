"""Every table. The migrations must make exactly these."""

from writer.db.models.base import Base
from writer.db.models.billing import (
    CheckoutRequest,
    Dispute,
    Invoice,
    InvoicePayment,
    Purchase,
    PurchaseLine,
    Refund,
    StripeObject,
    Subscription,
    SubscriptionItem,
)
from writer.db.models.catalogue import CatalogVersion, Feature, Plan, PlanFeature, Price, Product
from writer.db.models.customers import CustomerName, StripeCustomer
from writer.db.models.entitlements import (
    Document,
    Entitlement,
    EntitlementHistory,
    ManualGrant,
    Outbox,
    RelayLease,
)
from writer.db.models.operations import (
    AskedLogLevel,
    AuditLog,
    Backup,
    IdempotentRequest,
    RecomputeJob,
    Retention,
    WebhookEvent,
)
from writer.db.models.projects import ApiKey, App, Lineage, Project, User
from writer.db.models.stripe import (
    EventCursor,
    ReconcileFinding,
    ReconcileRun,
    StripePace,
    StripeSlot,
    SubscriptionHistory,
)

__all__ = [
    "ApiKey",
    "App",
    "AskedLogLevel",
    "AuditLog",
    "Backup",
    "Base",
    "CatalogVersion",
    "CheckoutRequest",
    "CustomerName",
    "Dispute",
    "Document",
    "Entitlement",
    "EntitlementHistory",
    "EventCursor",
    "Feature",
    "IdempotentRequest",
    "Invoice",
    "InvoicePayment",
    "Lineage",
    "ManualGrant",
    "Outbox",
    "Plan",
    "PlanFeature",
    "Price",
    "Product",
    "Project",
    "Purchase",
    "PurchaseLine",
    "RecomputeJob",
    "ReconcileFinding",
    "ReconcileRun",
    "Refund",
    "RelayLease",
    "Retention",
    "StripeCustomer",
    "StripeObject",
    "StripePace",
    "StripeSlot",
    "Subscription",
    "SubscriptionHistory",
    "SubscriptionItem",
    "User",
    "WebhookEvent",
]
