"""Merchants' webhook endpoints, and the way of every event to them.

`endpoints` and `secrets` keep the endpoints; `fan_out` writes deliveries down, `leases` hands them
out, `conclusions` writes how tries ended, `sending` is one try, `relay` the process that does all
of it, `relay_lanes` its bulkheads; `resends` is for people. What may not live here: deciding what
happened, and the network itself (services.egress).
"""
