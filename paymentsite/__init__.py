"""The site: settings, URLs, Celery, health, launcher. The only package that knows every app."""
