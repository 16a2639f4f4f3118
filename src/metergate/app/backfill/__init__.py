"""Backfills: loaded beside the ledger, previewed, and applied, thrown away or reverted as a whole."""
