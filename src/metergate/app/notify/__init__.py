"""News go out: endpoints are managed, and news are delivered to them."""
