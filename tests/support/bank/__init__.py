"""The bank: the one domain of the tests, but for the poker example's and the features'."""
