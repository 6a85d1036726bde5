# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database that is away or takes no writes is answered with 503, which says: try again."""

import logging

from django.db import DatabaseError, IntegrityError
from django.http import HttpResponse, JsonResponse

logger = logging.getLogger(__name__)


class AnswerUnavailable:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return self.get_response(request)

    def process_exception(self, request, exception):
        if not isinstance(exception, DatabaseError) or isinstance(exception, IntegrityError):
            return None
        logger.error("%s %s: %s", request.method, request.path, exception)
        text = "The database does not answer or takes no writes at the moment; please try again."
        if request.path.startswith("/api/"):
            response = JsonResponse({"error": text}, status=503)
        else:
            response = HttpResponse(text, status=503, content_type="text/plain")
        response["Retry-After"] = "2"
        return response
