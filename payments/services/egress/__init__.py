"""HTTP requests to URLs that merchants chose: which may be called, and how one request is made.

Every such URL is treated as an attempt to reach what only we can reach (SSRF).
"""
