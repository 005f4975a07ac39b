"""The contract of PSP adapters: the protocol in `adapter`, and the data it takes and returns."""
