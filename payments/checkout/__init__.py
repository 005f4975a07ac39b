"""The hosted checkout page and the addresses that it calls. No rule about money lives here."""
