# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds small releases, good and bad ones, for the gunicorn scenarios: releases.py FOLDER."""

import io
import sys
import tarfile
import zipfile
from pathlib import Path

PLAIN = """
import json
import os

RELEASE = "{release}"
{line}


def application(environ, start_response):
    seen = {{name: os.environ.get(name) for name in ("GREETING", "ALLOWED_HOSTS", "MEDIA_ROOT")}}
    seen.update(release=RELEASE, host=environ["HTTP_HOST"], secret_length=len(os.environ.get("SECRET_KEY", "")))
    start_response(os.environ.get("ANSWER") or "{status}", [("Content-Type", "application/json")])
    return [json.dumps(seen).encode()]
"""

DJANGO = {
    "manage.py": """
import os
import sys

from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
execute_from_command_line(sys.argv)
""",
    "requirements.txt": "Django==4.2.16\n",
    "shop/__init__.py": "",
    "shop/settings.py": """
import os

SECRET_KEY = os.environ["SECRET_KEY"]
ALLOWED_HOSTS = os.environ["ALLOWED_HOSTS"].split(",")
ROOT_URLCONF = "shop.urls"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.staticfiles", "shop"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DATABASE_NAME"]}}
STATIC_URL = "/static/"
STATIC_ROOT = os.environ["STATIC_ROOT"]
WSGI_APPLICATION = "shop.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
""",
    "shop/urls.py": """
import os

from django.contrib.contenttypes.models import ContentType
from django.http import JsonResponse
from django.urls import path


def health(request):
    seen = {"release": "1.0", "host": request.get_host(), "tables": ContentType.objects.count()}
    seen["secret_length"] = len(os.environ["SECRET_KEY"])
    seen["awkward"] = os.environ["AWKWARD"]
    return JsonResponse(seen)


urlpatterns = [path("healthz", health)]
""",
    "shop/wsgi.py": """
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
application = get_wsgi_application()
""",
    "shop/static/shop.css": "body { color: green }\n",
}


def plain(release, line="", status="200 OK"):
    return {"guestbook.py": PLAIN.format(release=release, line=line, status=status)}


def turncoat(release):
    """Well as a trial, on a unix socket; 500 wherever clients come by TCP."""
    ((name, text),) = plain(release).items()
    return {name: text.replace('"200 OK"', '("500 Turncoat" if environ.get("REMOTE_ADDR") else "200 OK")')}


def sleeper(release):
    """Well as a trial; whoever comes by TCP waits for a minute."""
    ((name, text),) = plain(release, line="import time").items()
    return {
        name: text.replace(
            "    start_response", "    time.sleep(60 if environ.get('REMOTE_ADDR') else 0)\n    start_response"
        )
    }


def make_zip(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def make_tar(path, top, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"{top}/{name}")
            info.size = len(content.encode())
            archive.addfile(info, io.BytesIO(content.encode()))


def make_wheel(path, release):
    facts = f"guestbook-{release}.dist-info"
    files = plain(release)
    files[f"{facts}/METADATA"] = f"Metadata-Version: 2.1\nName: guestbook\nVersion: {release}\n"
    files[f"{facts}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{facts}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{facts}/RECORD"])
    make_zip(path, files)


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    make_zip(folder / "guestbook-1.0.zip", plain("1.0"))
    make_zip(folder / "guestbook-1.1.zip", plain("1.1"))
    make_zip(folder / "guestbook-1.2.zip", plain("1.2"))
    make_zip(folder / "failing.zip", plain("2.0", status="500 Internal Server Error"))
    make_zip(folder / "turncoat.zip", turncoat("2.2"))
    make_zip(folder / "sleeper.zip", sleeper("2.3"))
    make_zip(folder / "unloadable.zip", plain("2.1", line="import no_such_module"))
    make_zip(folder / "escaping.zip", {"guestbook.py": "", "../../etc/cron.d/evil": "* * * * * root true\n"})
    whole = (folder / "guestbook-1.0.zip").read_bytes()
    (folder / "corrupt.zip").write_bytes(whole[: len(whole) // 2])
    make_wheel(folder / "guestbook-1.0-py3-none-any.whl", "1.0")
    make_tar(folder / "shop-1.0.tar.gz", "shop-1.0", DJANGO)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
