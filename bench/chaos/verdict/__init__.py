"""What a run ended with, judged: invariants, coverage of faults, recovery times, report."""
