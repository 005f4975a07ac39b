"""The merchant API: the Stripe wire contract on the outside, our commands on the inside."""
