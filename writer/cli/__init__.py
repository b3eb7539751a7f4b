"""The `billing` command: what an operator does, on the database that `DATABASE_URL` names."""

from typing import Final

import click

from writer.cli.backups import backup, restore, verify_backup
from writer.cli.catalogue import catalog
from writer.cli.claims import claim, unassigned
from writer.cli.database import check_settings, migrate
from writer.cli.entitlements import recompute, revoke
from writer.cli.events import events
from writer.cli.explain import explain, sidecars
from writer.cli.figures import figures
from writer.cli.foresight import preview
from writer.cli.grants import grant
from writer.cli.history import history
from writer.cli.imports import import_
from writer.cli.keys import key
from writer.cli.log_level import log_level
from writer.cli.projects import project
from writer.cli.reconcile import reconcile
from writer.cli.records import app, audit
from writer.cli.relay import relay
from writer.cli.stripe import stripe
from writer.cli.users import user
from writer.cli.verify import verify

_EXIT: Final = (
    "Exit status: 0 done; 1 refused, failed or not agreed to, the reason is on stderr; 2 the command or the settings "
    "are wrong, or it would ask and there is no terminal."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="billing-service")
def main() -> None:
    """Run the billing and entitlements service: projects, keys, catalogue, grants.

    Works on the database that DATABASE_URL names. Commands that show or change data take --json.
    """


for _command in (
    project,
    app,
    key,
    catalog,
    grant,
    revoke,
    recompute,
    reconcile,
    verify,
    events,
    explain,
    preview,
    history,
    sidecars,
    user,
    audit,
    figures,
    log_level,
    relay,
    unassigned,
    claim,
    stripe,
    import_,
    backup,
    verify_backup,
    restore,
    migrate,
    check_settings,
):
    main.add_command(_command)


def _say_how_it_ends(group: click.Group) -> None:
    for command in group.commands.values():
        if isinstance(command, click.Group):
            _say_how_it_ends(command)
        else:
            command.epilog = _EXIT


_say_how_it_ends(main)
