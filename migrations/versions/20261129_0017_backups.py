"""Which backups were made, and when they were verified; rows of projects that were loaded, and not made here, say so."""

import sqlalchemy as sa
from alembic import op

revision: str = "0017"
down_revision: str | None = "0016"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    op.create_table(
        "backups",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False, comment="Which moment it shows"),
        sa.Column("file", sa.Text(), nullable=False, comment="Its name in the folder of backups"),
        sa.Column("size", sa.BigInteger(), nullable=False, comment="Bytes"),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("schema_revision", sa.Text(), nullable=True),
        sa.Column(
            "verified_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When it was last restored into a scratch database and found equal; null: never",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backups")),
        sa.UniqueConstraint("sha256", name=op.f("uq_backups_sha256")),
        comment="A row for each backup that was made, whether its file is still there or not; the writer's metrics read it.",
    )

    # A project is made at revision 0. One that is inserted with another comes out of a dump of data alone, whose tables
    # are still the same: its home is nowhere, and it gets a new epoch before it is given a revision.
    op.execute("""
    CREATE FUNCTION projects_loaded() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
    BEGIN
        NEW.home_oid := 0;
        RETURN NEW;
    END $$
    """)
    op.execute("""
    CREATE TRIGGER loaded BEFORE INSERT ON projects FOR EACH ROW WHEN (NEW.revision <> 0)
    EXECUTE FUNCTION projects_loaded()
    """)
    op.execute(
        "COMMENT ON FUNCTION projects_loaded() IS 'A project that is loaded with a history gets a new epoch first'"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER loaded ON projects")
    op.execute("DROP FUNCTION projects_loaded()")
    op.drop_table("backups")
