"""Metergate: a self-hosted gRPC service that meters usage and decides quotas over PostgreSQL and Redis."""
