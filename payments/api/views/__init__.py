"""The endpoints of the merchant API with their parameters, one module per resource.

A parameter of the contract that we do not support is declared as Unsupported, with what to do
instead, so that it is never silently ignored.
"""
