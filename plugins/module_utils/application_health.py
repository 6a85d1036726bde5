# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the application of a side answers."""

import http.client
import ssl
import urllib.request
from typing import Any, Dict


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Takes a redirect for the answer: it leads by name, and by name the other side would answer."""

    def redirect_request(self, *_parts: Any) -> None:
        """Follow nothing."""


def ask(health: Dict[str, str], timeout: float) -> str:
    """Why the application of a side is not well; '' when it answered 200."""
    request = urllib.request.Request(  # noqa: S310  the address comes from the plan
        health["url"], headers={"Host": health["host"], "X-Forwarded-Proto": "https"}
    )
    context = None
    if health["url"].startswith("https"):
        # The chain is checked against the site's CA; the name in the certificate is the site's, not the address.
        context = ssl.create_default_context(cafile=health.get("ca") or None)
        context.check_hostname = False
    try:
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context), NoRedirect()
        )
        with opener.open(request, timeout=timeout) as answer:
            body = answer.read()
            if answer.status != 200:
                return "{0} answered {1}".format(health["url"], answer.status)
            if not body:
                return "{0} answered nothing".format(health["url"])
            return ""
    except (OSError, http.client.HTTPException) as error:
        return "{0}: {1}".format(health["url"], error)
