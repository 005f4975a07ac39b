"""Takes in bank statements, and matches their lines to the payouts of PSPs."""
