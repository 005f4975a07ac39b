"""Ends breaks that no rule may end: one person proposes a posting, a second one approves it."""
