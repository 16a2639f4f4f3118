"""Pure rules: what is measured, what is allowed, what a commit makes of a batch. Standard library only."""
