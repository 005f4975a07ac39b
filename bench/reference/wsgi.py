"""The reference, as granian serves it."""

import os

from django.core.wsgi import get_wsgi_application

from paymentsite.launcher.signals import die_with_parent

os.environ["DJANGO_SETTINGS_MODULE"] = "bench.reference.settings"
die_with_parent()

application = get_wsgi_application()
