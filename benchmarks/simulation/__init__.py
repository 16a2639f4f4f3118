"""Leases in simulated time: a ledger, a network that fails, and holders that are killed. See `simulate_leases`."""
