"""The sandbox PSP: a payment service provider's simulator with its own durable truth.

It runs as a process of its own (`python -m psp_adapters.sandbox_psp`). The platform imports nothing
of it, and it imports only `Money`. Tests compare the platform with what it recorded.
"""
