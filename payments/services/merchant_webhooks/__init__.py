"""Merchants' webhook endpoints, and the delivery of every event to them.

- `endpoints`, `secrets`: the endpoints, their secrets and the signatures made with them.
- `fan_out`: one delivery per event and endpoint.
- `leasing`, `delivery_order`: which delivery goes next.
- `attempt`, `attempt_results`: one attempt, and what it changes.
- `relay`, `endpoint_bulkheads`: the process that does all of this.
- `resend`: deliveries repeated on an operator's request.
"""
