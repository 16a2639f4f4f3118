"""Verbs on subscriptions, invoices and what closes periods."""
