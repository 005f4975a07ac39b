"""The endpoints of the merchant API, one module per resource, on top of `exchange`.

What may not live here: rules about money, SQL.
"""
