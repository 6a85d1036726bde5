# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
import hashlib
import os
import tempfile
from pathlib import Path
from typing import Optional

from django.conf import settings
from django.http import JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from shop.models import Pizza

from .api import refusal, staff_only


def suffix_of(content: bytes) -> Optional[str]:
    """By content, whatever the client calls it. SVG is left out: it can carry scripts."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return ".png"
    if content.startswith(b"\xff\xd8\xff"):
        return ".jpg"
    if content.startswith((b"GIF87a", b"GIF89a")):
        return ".gif"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return ".webp"
    return None


def store(content: bytes, suffix: str) -> str:
    """Named by its content, so an upload that is repeated or arrives at two servers is one file."""
    digest = hashlib.sha256(content).hexdigest()
    name = f"pizzas/{digest[:2]}/{digest}{suffix}"
    path = Path(settings.MEDIA_ROOT, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".upload-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, settings.FILE_UPLOAD_PERMISSIONS)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return name


@csrf_exempt
@require_http_methods(["POST"])
@staff_only
def upload(request):
    sent = request.FILES.get("picture") if request.FILES else None
    if (sent.size if sent else int(request.META.get("CONTENT_LENGTH") or 0)) > settings.MAX_PICTURE_BYTES:
        return refusal(f"a picture may have {settings.MAX_PICTURE_BYTES} bytes at most", 413)
    content = sent.read() if sent else request.body
    suffix = suffix_of(content)
    if suffix is None:
        return refusal("send a PNG, JPEG, GIF or WebP picture, as the form field 'picture' or as the body", 415)
    pizza = request.POST.get("pizza") or request.GET.get("pizza")
    if pizza and not (pizza.isdecimal() and Pizza.objects.filter(pk=pizza).exists()):
        return refusal(f"there is no pizza {pizza}", 404)
    name = store(content, suffix)
    if pizza:
        Pizza.objects.filter(pk=pizza).update(picture=name)
    return JsonResponse({"url": settings.MEDIA_URL + name}, status=201)
