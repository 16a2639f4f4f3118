"""What the verbs need from the outside, as small Protocols. Adapters implement them; `wiring` joins the two."""
