"""Acts without a request: warns of expiry, voids, cancels, reverses late successes, purges."""
