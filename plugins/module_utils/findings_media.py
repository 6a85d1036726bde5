# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that the source's web server gives out and the migration would leave behind, decided from facts alone."""

import re
from typing import Any, Dict, Iterator, Set

from ansible_collections.ocpizza.cutover.plugins.module_utils.finding import INHIBITOR, WARNING, Finding, join

UPLOADS = re.compile(r"/(media|uploads?|user[-_]?(content|files|media|uploads?)|attachments?|files|documents?)\b", re.I)
# They come with a release, or with the certificate.
BROUGHT = re.compile(r"/(static|assets?|css|js|fonts?|icons|favicon\.ico|robots\.txt|\.well-known)\b", re.I)


def decide(facts: Dict[str, Any]) -> Iterator[Finding]:
    """Folders of files that no entry of site_media brings."""
    covered = [_slashed(one["source"]) for one in facts["site"].get("media", [])]
    left: Dict[bool, Set[str]] = {True: set(), False: set()}
    for vhost in facts["source"]["web"]["vhosts"]:
        for prefix, path in sorted(vhost.get("aliases", {}).items()):
            if BROUGHT.search(prefix) or any(_slashed(path).startswith(folder) for folder in covered):
                continue
            left[bool(UPLOADS.search(prefix))].add("{0} from {1}".format(prefix, path))
    if left[True]:
        yield Finding(
            "media.left",
            INHIBITOR,
            "Uploaded files would be left behind",
            "The source's web server gives out {0}, which site_media does not name.".format(join(sorted(left[True]))),
            "Name its folder, and the one on the target, in site_media.",
        )
    if left[False]:
        yield Finding(
            "media.perhaps_left",
            WARNING,
            "Files may be left behind",
            "The source's web server gives out {0}.".format(join(sorted(left[False]))),
            "Name its folder in site_media where the site's users or jobs write there; a release brings its own.",
        )


def _slashed(path: str) -> str:
    return path.rstrip("/") + "/"
