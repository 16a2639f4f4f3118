"""BillingService: subscriptions, the close of periods, invoices and what is made from them."""
