"""What several test modules of payments use."""
