"""The adapter of the sandbox PSP. It shares no code with the simulator's server."""
