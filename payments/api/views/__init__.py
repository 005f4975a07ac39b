"""The endpoints of the merchant API, one module per resource, built on `exchange`."""
