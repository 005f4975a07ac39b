"""What may be done with payments: commands, the three phases of a money move, the one door.

Nothing here knows HTTP or the merchant API; callers hand in a renderer for their answer.
"""
