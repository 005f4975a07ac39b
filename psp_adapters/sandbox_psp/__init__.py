"""The sandbox PSP: a payment service provider's simulator with its own durable truth.

It runs as a process of its own (`python -m psp_adapters.sandbox_psp`), is imported by nothing of
the platform, and knows nothing of it. What it says happened is the truth of every test.
"""
