"""What the tables are made of: their kinds of columns and how constraints are named."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeEngine

METADATA = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    },
)
# SQLite gives row ids to columns of the type INTEGER alone.
Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Time = sa.BigInteger
Flag = sa.SmallInteger
Json = sa.Text
Kind = TypeEngine[Any] | type[TypeEngine[Any]]


def row_id() -> sa.Column[int]:
    return sa.Column("id", Id, primary_key=True)


def column(name: str, kind: Kind, *more: sa.ForeignKey) -> sa.Column[Any]:
    return sa.Column(name, kind, *more, nullable=False)


def maybe(name: str, kind: Kind, *more: sa.ForeignKey) -> sa.Column[Any]:
    return sa.Column(name, kind, *more, nullable=True)
