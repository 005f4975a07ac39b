"""The chaos test: clients, kills and a lying PSP against the running platform, judged from outside.

Black box over HTTP; the sandbox PSP is the truth. `python -m bench.chaos --help`, docs/chaos.md.
"""
