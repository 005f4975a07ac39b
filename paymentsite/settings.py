"""Django settings, read from environment variables. In production no secret has a default.

| variable | meaning |
|---|---|
| DATABASE_URL | PostgreSQL login of the running application; it may not own the tables |
| DATABASE_OWNER_URL | login that migrates and owns the tables; read only with DATABASE_ROLE=owner |
| DATABASE_ROLE | `application` (default), or `owner` for `manage.py migrate` |
| WAREHOUSE_ROLE | login that may read the views for warehouses, default `payments_warehouse` |
| DATABASE_POOL | `off` for processes with one connection: workers, commands, tests |
| DATABASE_POOL_MAX_SIZE | connections per web process, default 16 |
| REDIS_URL | broker of Celery |
| STREAM_REDIS_URL | Redis of the internal stream of events, default REDIS_URL |
| STREAM_KEY | the stream's key in Redis, default `payments:events` |
| STREAM_GROUPS | the stream's consumer groups, default `finance,support,fraud` |
| STREAM_ENTRIES_MAX | most entries in Redis at once, default 50000 |
| SECRET_KEY | Django's signing key; optional in development only |
| PAYMENTS_ENVIRONMENT | `production` (default) or `development` |
| PUBLIC_BASE_URL | the platform's address for merchants and customers |
| SANDBOX_PSP_URL, SANDBOX_PSP_API_KEY | of the demo: address of the sandbox PSP, our key there |
| SANDBOX_PSP_WEBHOOK_SECRETS | of the demo: secrets that sign its notifications, between commas |
| PSP_CALLS_MAX | calls in flight per process and PSP account, default 256 |
| PSP_BREAKERS | `off` disables the circuit breakers, for benchmarks only |
| API_THREADS | threads of a web process, default 64; half of them may wait for one PSP account |
| REQUEST_WITHIN_SECONDS | deadline for a request's headers, and again for its body; default 15 |
| INTERNAL_ADDRESS | address:port where alone a web server shows console, docs and metrics |
| METRICS_TOKEN | bearer token of /metrics; in development only this machine may do without |
| PROMETHEUS_MULTIPROC_DIR | folder where the processes of this machine combine their metrics |
| HEARTBEAT_SECONDS | interval of the heartbeat of each queue, default 10 |
| UNKNOWN_CASE_AFTER_HOURS | an operation unknown for so long gets a case, default 24 |
| APPROVALS_EXPIRE_AFTER_DAYS | a request for approval waits so long, default 7 |
| CARRY_OUT_WITHIN_HOURS | what never reached the PSP is sent again for so long, default 24 |
| ABANDONED_INTENTS_CANCELED_AFTER_HOURS | unpaid intents: default 720; 0: never |
| ABANDONED_CHALLENGES_CANCELED_AFTER_HOURS | unanswered challenges: default 24 |
| IDEMPOTENCY_KEYS_KEPT_DAYS | idempotency keys are deleted after, default 400 |
| SECRETS_ENCRYPTION_KEYS | Fernet keys, separated by commas; the first encrypts, all decrypt |
| WEBHOOK_PORTS | ports that merchants' webhook endpoints may have, default `443,8443` |
| WEBHOOK_LOOPBACK | `on` allows endpoints on this machine, by http too; in development only |
| WEBHOOK_DENIED_NETWORKS | networks without endpoints, in addition to all that are not public |
| WEBHOOK_CA_FILE | certificates that endpoints' are checked with, beside the system's |
| WEBHOOK_TIMEOUT_SECONDS | most seconds for one attempt of a delivery, default 15 |
| WEBHOOK_DISABLE_AFTER_DAYS | an endpoint that failed for so long is disabled, default 5 |
| WEBHOOK_DELIVERIES_KEPT_DAYS | deliveries and their attempts are deleted after, default 30 |
| REPORTS_FOLDER | settlement reports in `<account code>/` are imported from here, default none |
| EXPORTS_FOLDER | exports of each day and month are written here, default none |
| EXPORTS_DAILY, EXPORTS_MONTHLY | names of these exports, between commas; `none`: no export |
| LOG_LEVEL | default INFO; with WARNING no request is logged that is answered below 500 |

The launcher (`make demo`, `make serve`) also reads these; without them it takes a free port.

| variable | meaning |
|---|---|
| PORT | port of the API, by default 8000 if it is free |
| SANDBOX_PSP_PORT | port of the sandbox PSP, by default 8010 if it is free |
| POSTGRES_PORT, REDIS_PORT | ports of the embedded PostgreSQL and Redis |
| STREAM_EXAMPLES | groups with an example consumer, default all; `none`: none |
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from paymentsite import environment
from paymentsite.logs import logging_configuration

BASE_DIR = Path(__file__).resolve().parent.parent

PAYMENTS_ENVIRONMENT = environment.choice("PAYMENTS_ENVIRONMENT", ("production", "development"))
IN_DEVELOPMENT = PAYMENTS_ENVIRONMENT == "development"
DEBUG = False  # its error pages show local variables, which would be payment data

if IN_DEVELOPMENT:
    SECRET_KEY = os.environ.get("SECRET_KEY") or "development-only-key-that-signs-nothing-of-value"
else:
    SECRET_KEY = environment.required(
        "SECRET_KEY", "set a long random text, or PAYMENTS_ENVIRONMENT=development"
    )

PUBLIC_BASE_URL = (os.environ.get("PUBLIC_BASE_URL") or "http://127.0.0.1:8000").rstrip("/")
_public = urlsplit(PUBLIC_BASE_URL)
if _public.scheme not in ("http", "https") or not _public.hostname:
    raise ImproperlyConfigured("PUBLIC_BASE_URL is no URL: write https://payments.example.com")
ALLOWED_HOSTS = [_public.hostname, "127.0.0.1", "localhost", "[::1]", "testserver"]
# Console, documentation, metrics and /healthz/jobs are then found on that port alone.
INTERNAL_ADDRESS = environment.listener("INTERNAL_ADDRESS")
if INTERNAL_ADDRESS is not None:
    ALLOWED_HOSTS.append(INTERNAL_ADDRESS[0])
CSRF_TRUSTED_ORIGINS = [f"{_public.scheme}://{_public.netloc}"]
if _public.scheme == "https":
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SECURE_HSTS_SECONDS = 31_536_000
# The proxy redirects to https; other subdomains and browsers' preload list are the operator's.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W008", "security.W021"]

# --- database ---------------------------------------------------------------------------------

if environment.choice("DATABASE_ROLE", ("application", "owner")) == "owner":
    _default = environment.database(
        "DATABASE_OWNER_URL", "set the login that owns the tables", owner=True, pool=False
    )
else:
    _default = environment.database(
        "DATABASE_URL",
        "set it, or let `python -m paymentsite.launcher run -- COMMAND` start a database",
        owner=False,
        pool=environment.choice("DATABASE_POOL", ("on", "off")) == "on",
    )
DATABASES: dict[str, dict[str, Any]] = {"default": _default}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- applications -----------------------------------------------------------------------------

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",  # before the console: it replaces templates of it
    "unfold.contrib.filters",
    "unfold.contrib.guardian",
    "paymentsite.apps.ConsoleConfig",  # django.contrib.admin
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "guardian",
    "ledger",
    "payments",
    "reconciliation",
    "paymentsite",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "paymentsite.shortcut.merchant_api_shortcut",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "paymentsite.urls"
WSGI_APPLICATION = "paymentsite.wsgi.application"
APPEND_SLASH = False  # or every merchant URL would be resolved twice
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# --- staff ------------------------------------------------------------------------------------

AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "guardian.backends.ObjectPermissionBackend",
]
ANONYMOUS_USER_NAME = None  # guardian would create a user that cannot log in
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("MinimumLengthValidator", "CommonPasswordValidator", "NumericPasswordValidator")
]
LOGIN_URL = "admin:login"
UNFOLD = {
    "SITE_TITLE": "Payments",
    "SITE_HEADER": "Payments",
    "SITE_SUBHEADER": PAYMENTS_ENVIRONMENT,
    "SITE_SYMBOL": "payments",
    "SHOW_VIEW_ON_SITE": False,
    "SIDEBAR": {
        "show_search": False,
        "show_all_applications": False,
        "navigation": "payments.admin.navigation.sidebar",
    },
}

# --- texts and times --------------------------------------------------------------------------

LANGUAGE_CODE = "en-us"
USE_I18N = True
TIME_ZONE = "UTC"
USE_TZ = True
# Support compares times with the PSP's to the second; the locale's formats omit seconds.
FORMAT_MODULE_PATH = ["paymentsite.formats"]
DATETIME_FORMAT = "Y-m-d H:i:s"

# --- static files -----------------------------------------------------------------------------

STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True  # straight from the installed packages, nothing to collect

# --- merchant API -----------------------------------------------------------------------------

REST_FRAMEWORK = {
    # payments.api sets authentication per view; no view inherits one.
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_THROTTLE_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "UNAUTHENTICATED_USER": None,
    "UNAUTHENTICATED_TOKEN": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Payments",
    "DESCRIPTION": "The merchant API: a declared subset of the Stripe wire contract.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SORT_OPERATIONS": False,  # in the order of the routes
    "OAS_VERSION": "3.1.0",  # its schemas are JSON Schema, which validators understand
    "POSTPROCESSING_HOOKS": ["payments.api.openapi.add_components"],
    "SCHEMA_PATH_PREFIX": "/v1",
    "SECURITY": [{"secretKey": []}],
    "APPEND_COMPONENTS": {
        "securitySchemes": {
            "secretKey": {
                "type": "http",
                "scheme": "bearer",
                "description": "A merchant's secret key, such as sk_test_…",
            }
        }
    },
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

# --- merchants' webhook endpoints -------------------------------------------------------------

SECRETS_ENCRYPTION_KEYS = environment.fernet_keys(
    "SECRETS_ENCRYPTION_KEYS", development_from=SECRET_KEY if IN_DEVELOPMENT else ""
)
WEBHOOK_PORTS = environment.ports("WEBHOOK_PORTS", "443,8443")
WEBHOOK_LOOPBACK = environment.choice("WEBHOOK_LOOPBACK", ("off", "on")) == "on"
if WEBHOOK_LOOPBACK and not IN_DEVELOPMENT:
    raise ImproperlyConfigured(
        "WEBHOOK_LOOPBACK is on: merchants could reach this machine; set it to off in production"
    )
WEBHOOK_DENIED_NETWORKS = environment.networks("WEBHOOK_DENIED_NETWORKS")
WEBHOOK_CA_FILE = os.environ.get("WEBHOOK_CA_FILE", "")
WEBHOOK_TIMEOUT_SECONDS = environment.integer("WEBHOOK_TIMEOUT_SECONDS", 15, least=1)
WEBHOOK_DISABLE_AFTER_DAYS = environment.integer("WEBHOOK_DISABLE_AFTER_DAYS", 5, least=1)
WEBHOOK_DELIVERIES_KEPT_DAYS = environment.integer("WEBHOOK_DELIVERIES_KEPT_DAYS", 30, least=4)

# --- background jobs, PSPs, logs --------------------------------------------------------------

REDIS_URL = environment.required(
    "REDIS_URL", "set it, or let `python -m paymentsite.launcher run -- COMMAND` start a Redis"
)
# After three missed heartbeats /healthz/jobs reports the queue; after five the launcher restarts
# its workers.
HEARTBEAT_SECONDS = environment.integer("HEARTBEAT_SECONDS", 10, least=1)
SANDBOX_PSP_URL = os.environ.get("SANDBOX_PSP_URL", "").rstrip("/")
SANDBOX_PSP_API_KEY = os.environ.get("SANDBOX_PSP_API_KEY", "sandbox_development_key")
# Of the demo's account, stored with it as those of any other are (manage.py psp_accounts).
SANDBOX_PSP_CREDENTIALS: dict[str, str] = {
    "base_url": SANDBOX_PSP_URL,
    "api_key": SANDBOX_PSP_API_KEY,
    "webhook_secrets": environment.secrets("SANDBOX_PSP_WEBHOOK_SECRETS"),
}
# Watched for settlement reports, one folder for each PSP account (docs/settlement.md).
REPORTS_FOLDER = os.environ.get("REPORTS_FOLDER", "").strip()
# Where the exports of days and months that are over are written (docs/exports.md).
EXPORTS_FOLDER = os.environ.get("EXPORTS_FOLDER", "").strip()
EXPORTS_DAILY = environment.names(
    "EXPORTS_DAILY",
    "journal_by_posting,trial_balance,merchant_balances,open_items,balance_transactions,payments,"
    "refunds,disputes,settlement_by_payout,fee_variance,adjustments,unmatched",
)
EXPORTS_MONTHLY = environment.names(
    "EXPORTS_MONTHLY",
    "journal,trial_balance,account_statement,merchant_balances,settlement_by_payout,fee_variance",
)
# Of a settlement report that finance imports in the console: some 100,000 lines, whose preview
# answers within the time of a request.
REPORT_UPLOAD_BYTES_MAX = 16 * 1024 * 1024
# The internal stream (docs/stream.md): events stay in PostgreSQL, Redis holds the newest. An entry
# takes about 2 kB. While the slowest group is STREAM_ENTRIES_MAX behind, the publisher waits.
STREAM_REDIS_URL = os.environ.get("STREAM_REDIS_URL") or REDIS_URL
STREAM_KEY = os.environ.get("STREAM_KEY") or "payments:events"
STREAM_GROUPS = environment.names("STREAM_GROUPS", "finance,support,fraud")
STREAM_ENTRIES_MAX = environment.integer("STREAM_ENTRIES_MAX", 50_000, least=1)

# Most calls in flight per process and PSP account. While a PSP hangs, requests are answered when
# their budget ends, but their calls go on until the deadline of the call.
PSP_CALLS_MAX = environment.integer("PSP_CALLS_MAX", 256, least=1)

# Threads of one web process, set by the launcher. Half of them may wait for one PSP account.
API_THREADS = environment.integer("API_THREADS", 64, least=2)
# Of the body. The server's command has that of the headers.
REQUEST_WITHIN_SECONDS = environment.integer(
    "REQUEST_WITHIN_SECONDS", environment.REQUEST_WITHIN_SECONDS, least=1
)

# Bearer token of /metrics. Without it, in development, only this machine may read them, and not
# through a proxy.
METRICS_TOKEN = environment.secrets("METRICS_TOKEN")

# Off only where a benchmark measures a hanging PSP without the circuit breaker.
PSP_BREAKERS = environment.choice("PSP_BREAKERS", ("on", "off")) == "on"
# An operation that is unknown for so long gets a case for an operator; recovery goes on hourly.
UNKNOWN_CASE_AFTER_HOURS = environment.integer("UNKNOWN_CASE_AFTER_HOURS", 24, least=1)
CARRY_OUT_WITHIN_HOURS = environment.integer("CARRY_OUT_WITHIN_HOURS", 24, least=1)
# What a request for approval has reserved is released then.
APPROVALS_EXPIRE_AFTER_DAYS = environment.integer("APPROVALS_EXPIRE_AFTER_DAYS", 7, least=1)
# Nothing is authorized yet, and a customer may follow a payment link weeks later. 0: never.
ABANDONED_INTENTS_CANCELED_AFTER_HOURS = environment.integer(
    "ABANDONED_INTENTS_CANCELED_AFTER_HOURS", 30 * 24, least=0
)
# A challenge blocks other charges of the order, and banks expire it within an hour.
ABANDONED_CHALLENGES_CANCELED_AFTER_HOURS = environment.integer(
    "ABANDONED_CHALLENGES_CANCELED_AFTER_HOURS", 24, least=1
)
# Longer than a year: a request repeated a year later is a repeat, not a new payment.
IDEMPOTENCY_KEYS_KEPT_DAYS = environment.integer("IDEMPOTENCY_KEYS_KEPT_DAYS", 400, least=1)

LOGGING = logging_configuration(os.environ.get("LOG_LEVEL", "INFO").upper())
LOGGING_CONFIG = "paymentsite.logs.configure"
