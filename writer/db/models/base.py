"""What every table shares: naming of constraints, and column types used across tables."""

from datetime import datetime
from typing import Annotated, Any

from sqlalchemy import BigInteger, DateTime, Identity, LargeBinary, MetaData, Text, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, mapped_column


class Base(DeclarativeBase):
    """Parent of every model. Constraints are named by rule, so that a migration can name them again."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class
        str: Text(),
        int: BigInteger(),
        bytes: LargeBinary(),
        datetime: DateTime(timezone=True),
        Any: JSONB(none_as_null=True),
        dict[str, Any]: JSONB(none_as_null=True),
    }


RowId = Annotated[int, mapped_column(BigInteger, Identity(always=True), primary_key=True)]
"""A surrogate key of ours."""

Recorded = Annotated[datetime, mapped_column(DateTime(timezone=True), server_default=func.now())]
"""When the row was written, by the database's clock."""
