"""The sandbox PSP's HTTP server: merchant API, control API, dashboard."""
