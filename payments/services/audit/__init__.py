"""Who changed the configuration of the installation, what, and why."""
