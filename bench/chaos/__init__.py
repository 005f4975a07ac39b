"""The chaos test: clients, kills and a faulty PSP against the platform, judged from outside.

Black box over HTTP. At the end, the platform must equal the sandbox PSP's records.
`python -m bench.chaos --help`, docs/chaos.md.
"""
