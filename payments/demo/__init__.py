"""One business day of two merchants, played from outside: the merchant API and the sandbox PSP.

Everything goes over HTTP, as a merchant's server would. What may not live here: models, services.
"""
