"""The site: settings, URLs, Celery application, health, launcher. The only package that knows every app."""
