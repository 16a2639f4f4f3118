"""QuotaService, in the parts that its RPCs fall into."""
