"""One verb per file: the order of the steps and the edge of the transaction."""
