"""What the product's own classes must find on any Postgres, the model among them."""

from typing import Final

from tests.contract.postgres_model import lease_cases, lineage_cases, outbox_cases
from tests.contract.postgres_model.ground import Case

CASES: Final[dict[str, Case]] = {
    case.__name__: case
    for case in (
        outbox_cases.the_outbox_holds_every_revision_in_order,
        outbox_cases.relaying_begins_at_the_cursor_or_where_the_epoch_does,
        outbox_cases.two_who_change_at_once_get_revisions_one_after_the_other,
        outbox_cases.nobody_sees_what_is_not_committed,
        outbox_cases.heads_are_read_of_all_projects_and_of_one,
        outbox_cases.a_snapshot_stays_where_it_was_opened,
        lease_cases.a_lease_is_held_until_it_ends_or_is_given_back,
        lease_cases.a_lease_that_is_not_renewed_goes_to_another,
        lease_cases.a_cursor_only_goes_forward,
        lineage_cases.an_epoch_rises_above_what_was_seen,
        lineage_cases.another_database_begins_new_epochs,
        lineage_cases.nothing_is_committed_before_the_new_epoch,
        lineage_cases.nothing_is_committed_in_another_cluster_before_the_new_epoch,
        outbox_cases.only_what_is_relayed_and_not_among_the_last_is_trimmed,
        outbox_cases.a_users_document_is_read_with_its_head,
    )
}
"""By name."""
