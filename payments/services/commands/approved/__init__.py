"""Commands that wait for a second person's approval, and how they are carried out then."""
