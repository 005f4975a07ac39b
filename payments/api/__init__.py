"""The merchant API: Stripe's wire contract outside, our commands inside."""
