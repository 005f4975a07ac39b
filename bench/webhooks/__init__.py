"""The relay under load: many deliveries, dead endpoints, relays killed meanwhile.

`run` runs it, `receiver` is the merchants' side, `event_writer` writes the events, `verdict` judges
what arrived.
"""
