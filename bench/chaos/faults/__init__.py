"""What goes wrong in a run: faults from outside (`nemesis`), and planted bugs (`bugs`)."""
