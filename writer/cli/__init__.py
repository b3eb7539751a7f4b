"""The `billing` command: what an operator does, on the database that `DATABASE_URL` names.

Exit status: 0 done, 1 refused or failed, 2 the command or the settings are wrong.
"""

import click

from writer.cli.catalogue import catalog
from writer.cli.claims import claim, unassigned
from writer.cli.database import check_settings, migrate
from writer.cli.entitlements import grant, recompute, revoke
from writer.cli.events import events
from writer.cli.figures import figures
from writer.cli.history import history
from writer.cli.imports import import_
from writer.cli.keys import key
from writer.cli.log_level import log_level
from writer.cli.projects import project
from writer.cli.reconcile import reconcile
from writer.cli.stripe import stripe
from writer.cli.verify import verify


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="billing-service")
def main() -> None:
    """Run the billing and entitlements service: projects, keys, catalogue, grants.

    Works on the database that DATABASE_URL names. Commands that show or change data take --json.
    """


for _command in (
    project,
    key,
    catalog,
    grant,
    revoke,
    recompute,
    reconcile,
    verify,
    events,
    history,
    figures,
    log_level,
    unassigned,
    claim,
    stripe,
    import_,
    migrate,
    check_settings,
):
    main.add_command(_command)
