"""What operators do: merchants and keys, PSP accounts, routing rules, staff, cases."""
