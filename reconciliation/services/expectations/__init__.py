"""What should be in a settlement report by now, and is not; the account's remainder."""
