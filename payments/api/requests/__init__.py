"""The declared parameters of every endpoint, one module per resource.

What may not live here: code that runs a request. A parameter of the contract that we do not honor
is declared as Unsupported, with what to do instead, so that nobody wonders whether it worked.
"""
