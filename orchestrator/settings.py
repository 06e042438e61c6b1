"""Every setting of the product, in one file.

Servers: with ``DATABASE_URL`` or ``REDIS_URL`` unset the embedded ones below ``DATA_DIR`` are used (`orchestrator/embedded`).
"""

from pathlib import Path

from orchestrator.addresses import database_settings, redis_addresses, secret_key
from orchestrator.environment import env_bool, env_float, env_int, env_list, env_str

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env_str("ORCHESTRATOR_DATA", str(BASE_DIR / ".data"))).absolute()

DEBUG = env_bool("DEBUG", False)
SECRET_KEY = env_str("SECRET_KEY") or secret_key(DATA_DIR)
SECRET_KEY_FALLBACKS = env_list("SECRET_KEY_FALLBACKS", [])  # former ones: what they signed or sealed can still be read
ALLOWED_HOSTS = env_list("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env_list("CSRF_TRUSTED_ORIGINS", [])

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "channels",
    "django_htmx",
    "flows.apps.FlowsConfig",
    "approvals.apps.ApprovalsConfig",
    "orchestrator.apps.OrchestratorConfig",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "orchestrator.pages.compression.CompressionMiddleware",
    "orchestrator.pages.middleware.PolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "orchestrator.pages.middleware.PageMiddleware",
    "orchestrator.pages.keptforms.KeptFormsMiddleware",
    "orchestrator.home.first.FirstStepsMiddleware",
    "flows.api.problems.MethodProblemMiddleware",
]

ROOT_URLCONF = "orchestrator.urls"
ASGI_APPLICATION = "orchestrator.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "orchestrator.pages.shell.shell",
            ],
            "builtins": [
                "django.templatetags.static",
                "orchestrator.templatetags.assets",
                "orchestrator.templatetags.blocks",
                "orchestrator.templatetags.data",
                "orchestrator.templatetags.figures",
                "orchestrator.templatetags.forms",
                "orchestrator.templatetags.lists",
                "orchestrator.templatetags.numbers",
                "orchestrator.templatetags.states",
            ],
        },
    },
]

DATABASES = {"default": database_settings(env_str("DATABASE_URL"), DATA_DIR, env_int("DATABASE_POOL", 0, least=0))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

_redis = redis_addresses(env_str("REDIS_URL"), DATA_DIR)
REDIS_ADDRESS = _redis.client
CELERY_BROKER_URL = _redis.celery
# A ring is a hint (docs/architecture.md): the sender never waits long for Redis.
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_timeout": 2.0,
    "socket_connect_timeout": 1.0,
    "socket_keepalive": True,
    "health_check_interval": 25,
}
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "engine"
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_ACKS_LATE = False

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_ADDRESS]},
    },
}

AUTH_USER_MODEL = "flows.Person"
AUTHENTICATION_BACKENDS = ["orchestrator.pages.reader.ReaderBackend"]
LOGIN_URL = "/login"
LOGIN_REDIRECT_URL = "/"
CSRF_FAILURE_VIEW = "orchestrator.pages.problems.stale_form"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ("username", "name", "email")},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.ScryptPasswordHasher"]
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = env_bool("SECURE_COOKIES", False)
CSRF_COOKIE_SECURE = SESSION_COOKIE_SECURE
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# Letters (invitations, new passwords, notices): without a host none is sent, and links are copied by hand.
EMAIL_HOST = env_str("EMAIL_HOST")
EMAIL_PORT = env_int("EMAIL_PORT", 587, least=1)
EMAIL_HOST_USER = env_str("EMAIL_USER")
EMAIL_HOST_PASSWORD = env_str("EMAIL_PASSWORD")
EMAIL_USE_TLS = env_bool("EMAIL_TLS", True)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env_str("EMAIL_FROM", "orchestrator@localhost")

LANGUAGE_CODE = "en"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True  # a checkout needs no collectstatic
WHITENOISE_IMMUTABLE_FILE_TEST = r"^/static/build/.+-[A-Z0-9]{8}\.\w+$"  # named by their contents

# The engine (flows/execution). Seconds unless said otherwise.
LEASE = env_float("LEASE", 15.0, least=1.0)
SCAN_PERIOD = env_float("SCAN_PERIOD", 1.0, least=0.05)
ENGINE_CAPACITY = env_int("ENGINE_CAPACITY", 1200, least=1)  # runs that one engine process drives at once
UPLOAD_LIMIT = env_int("UPLOAD_LIMIT", 4 * 1024 * 1024, least=1024)  # bytes of a request body
DATA_UPLOAD_MAX_MEMORY_SIZE = UPLOAD_LIMIT

SITE_URL = env_str("SITE_URL", "http://127.0.0.1:8000")  # where people reach the pages: links in messages begin with it

LOG_LEVEL = env_str("LOG_LEVEL", "INFO")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "filters": {"secrets": {"()": "flows.access.redaction.RedactingFilter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["secrets"]}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        "httpx": {"level": "WARNING"},
        "LiteLLM": {"level": "WARNING"},
        "uvicorn.access": {"level": "WARNING"},
    },
}
