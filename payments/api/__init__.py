"""The merchant API: parse, one command or selector, render."""
