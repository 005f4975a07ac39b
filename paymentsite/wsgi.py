"""The web application, as granian serves it."""

import os

from django.core.wsgi import get_wsgi_application

from paymentsite.launcher.lifeline import die_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paymentsite.settings")
# A worker whose server process was killed would go on serving on the same port for ever.
die_with_parent()

application = get_wsgi_application()
