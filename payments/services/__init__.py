"""What may be done with payments, in 17 packages of 7 layers (.importlinter holds them).

A package imports only from layers below its own. From the top:
automatic_actions, psp_notifications: work without a request, and webhooks of PSPs.
commands: the verbs of API, jobs and console. Below them disputes.
operations, recovery, verification: one instruction to a PSP; unknown outcomes; books compared.
outcomes: the one door for results. Beside it merchant_webhooks and event_stream.
idempotency, outbox, psp_gateway: keys, events in the caller's transaction, calls to a PSP.
callers, jobs, cases, egress: the types of a request, due rows, cases, HTTP to merchants.
Nothing here knows the merchant API: a request brings a renderer for its answer.
"""
