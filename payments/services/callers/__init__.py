"""Who asks for an action, and what they are answered with."""
