"""What all tables share: one collection, instants, and texts."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, MetaData, Text

metadata = MetaData()

# Connections hand these out as instants: see `connect.use_instants`.
Instant = DateTime(timezone=True)


def key_text(name: str, key: bool = False) -> Column[str]:
    """A text by which rows are found or sorted: to every process "C" sorts alike."""
    return Column(name, Text(collation="C"), primary_key=key, nullable=False)


def words(name: str) -> Column[str]:
    """Any other text."""
    return Column(name, Text, nullable=False)
