"""Starts, watches and stops every process: `python -m paymentsite.launcher run|serve|demo`."""
