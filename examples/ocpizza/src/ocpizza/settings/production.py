# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that differs between machines comes from the environment."""

import os

from django.core.exceptions import ImproperlyConfigured

from .base import *  # noqa: F403
from .base import BASE_DIR, INSTALLED_APPS

PORTS = {"mysql": "3306", "postgresql": "5432"}


def required(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise ImproperlyConfigured(f"{name} is not set: set it in the environment of the application")
    return value


def listed(name: str) -> list:
    return [part.strip() for part in os.environ.get(name, "").split(",") if part.strip()]


def enabled(name: str, default: str) -> bool:
    return os.environ.get(name, default).lower() in ("1", "true", "yes", "on")


def number(name: str, default: str) -> int:
    value = os.environ.get(name) or default
    if not value.isdigit():
        raise ImproperlyConfigured(f"{name} is {value!r}: give a whole number")
    return int(value)


def database(prefix: str = "") -> dict:
    engine = required(f"{prefix}DATABASE_ENGINE")
    if engine not in PORTS:
        raise ImproperlyConfigured(f"{prefix}DATABASE_ENGINE is {engine!r}: choose one of {', '.join(sorted(PORTS))}")
    authority = os.environ.get(f"{prefix}DATABASE_CA", "")
    options = {"connect_timeout": number("DATABASE_TIMEOUT", "5")}
    if engine == "mysql":
        import pymysql  # noqa: PLC0415

        pymysql.install_as_MySQLdb()
        # MariaDB 11.8 answers a bare "utf8mb4" with a uca1400 collation, whose number older servers
        # do not know: an old server that replicates from a new one would stop at the first statement.
        options.update(charset="utf8mb4", collation="utf8mb4_general_ci")
        if authority:
            options["ssl"] = {"ca": authority, "check_hostname": True}
    elif authority:
        options.update(sslmode="verify-full", sslrootcert=authority)
    return {
        "ENGINE": f"django.db.backends.{engine}",
        "NAME": os.environ.get(f"{prefix}DATABASE_NAME") or prefix.rstrip("_").lower() or "ocpizza",
        "USER": required(f"{prefix}DATABASE_USER"),
        "PASSWORD": os.environ.get(f"{prefix}DATABASE_PASSWORD", ""),
        "HOST": os.environ.get(f"{prefix}DATABASE_SOCKET") or os.environ.get(f"{prefix}DATABASE_HOST") or "127.0.0.1",
        "PORT": os.environ.get(f"{prefix}DATABASE_PORT") or PORTS[engine],
        "CONN_MAX_AGE": number("CONN_MAX_AGE", "60"),
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options,
    }


DEBUG = enabled("DEBUG", "0")
SECRET_KEY = required("SECRET_KEY")
# The manual's verification (4.2.5) asks the application server itself, by its loopback address.
ALLOWED_HOSTS = [*listed("ALLOWED_HOSTS"), "127.0.0.1", "localhost"]
CSRF_TRUSTED_ORIGINS = listed("CSRF_TRUSTED_ORIGINS")
STAFF_TOKEN = os.environ.get("STAFF_TOKEN", "")
DATABASES = {"default": database()}
# The stock may have a server of its own, even of another kind.
if os.environ.get("STOCK_DATABASE_ENGINE"):
    DATABASES["stock"] = database("STOCK_")
    DATABASE_ROUTERS = ["stock.router.Router"]
    INSTALLED_APPS = [*INSTALLED_APPS, "stock"]

STATIC_ROOT = os.environ.get("STATIC_ROOT") or str(BASE_DIR / "static")
MEDIA_ROOT = os.environ.get("MEDIA_ROOT") or str(BASE_DIR / "media")
EXPORT_DIR = os.environ.get("EXPORT_DIR") or str(BASE_DIR / "exports")

# The front end terminates TLS and sets this header itself, whatever the client sent.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = enabled("SECURE_COOKIES", "1")
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": os.environ.get("LOG_LEVEL") or "WARNING"},
}

if os.environ.get("SENTRY_DSN"):
    import sentry_sdk

    from ocpizza.release import RELEASE

    sentry_sdk.init(dsn=os.environ["SENTRY_DSN"], release=RELEASE, send_default_pii=False)
