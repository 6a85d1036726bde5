# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a server sends and takes mail."""

import os
import re
from typing import Any, Callable, Dict, List, Sequence

PORTS = {25: "smtp", 465: "submissions", 587: "submission", 110: "pop3", 995: "pop3s", 143: "imap", 993: "imaps"}
POSTFIX = "/etc/postfix/main.cf"
EXIM = "/etc/exim4/update-exim4.conf.conf"
SENDERS = ("/etc/msmtprc", "/etc/ssmtp/ssmtp.conf", "/etc/nullmailer/remotes")
LOOPBACK = ("::1",)
# A file for each message. What is in Postfix's corrupt and defer folders is none.
QUEUES = (
    ("var/spool/postfix/maildrop", r"\w+\Z"),
    ("var/spool/postfix/incoming", r"\w+\Z"),
    ("var/spool/postfix/active", r"\w+\Z"),
    ("var/spool/postfix/deferred", r"\w+\Z"),
    ("var/spool/postfix/hold", r"\w+\Z"),
    ("var/spool/exim4/input", r".+-H\Z"),
    ("var/spool/mqueue", r"[qQ]f.+\Z"),
    ("var/spool/nullmailer/queue", r".+\Z"),
)


def look(read: Callable[[str], str], listening: Sequence[Dict[str, Any]]) -> Dict[str, Any]:
    """Who listens, to whom mail is handed on, for which domains it is kept, and where it is redirected."""
    services: List[Dict[str, Any]] = [
        {
            "service": PORTS[one["port"]],
            "name": one["name"],
            "public": not (one["address"].startswith("127.") or one["address"] in LOOPBACK),
        }
        for one in listening
        if one["protocol"] == "tcp" and one["port"] in PORTS
    ]
    postfix, exim = settings(read(POSTFIX)), settings(read(EXIM))
    return {
        "services": services,
        "relay": postfix.get("relayhost") or exim.get("dc_smarthost") or "",
        "domains": postfix.get("mydestination") or exim.get("dc_other_hostnames") or "",
        "aliases": len(re.findall(r"^[^#\s:]+\s*:", read("/etc/aliases"), re.MULTILINE)),
        # They hold a password as a rule; that they are there is all that is told.
        "senders": [path for path in SENDERS if read(path)],
    }


def queued(root: str = "/") -> int:
    """Messages that wait to be sent: those of Postfix, Exim, Sendmail and nullmailer."""
    count = 0
    for folder, pattern in QUEUES:
        for _base, _folders, names in os.walk(os.path.join(root, folder)):
            count += len([name for name in names if re.match(pattern, name)])
    return count


def settings(text: str) -> Dict[str, str]:
    """C(name = value) of each line."""
    return {name: value.strip("'\" ") for name, value in re.findall(r"^(\w+)\s*=[ \t]*(.*?)\s*$", text, re.MULTILINE)}
