"""The messages and stubs of the contract, generated from protos/ by `make proto`."""
