"""The relay under load: many deliveries, dead endpoints, relays killed meanwhile.

`run` brings it all together, `receiver` is the merchants' side, `teller` writes the events,
`verdict` judges what arrived. What may not live here: the relay.
"""
