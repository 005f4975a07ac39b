"""What the platform is measured against: a bare Django REST view, the least SQL, the same PSP call.

No authentication, no guards, no state machine. What may not live here: anything of the platform but
its HTTP client towards PSPs and its database settings.
"""
