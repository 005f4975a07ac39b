"""The load of a chaos run: what merchants send, what they saw, what their endpoints received."""
