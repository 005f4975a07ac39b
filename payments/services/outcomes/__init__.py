"""Records PSP results: state, books, events and the request's answer, in one transaction. Nothing
else does.
"""
