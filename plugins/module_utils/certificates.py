# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates in files and as servers send them, read by openssl, for old Pythons cannot."""

import calendar
import re
import time
from typing import Any, Callable, Dict, List, Tuple

Run = Callable[..., Tuple[int, str, str]]

# openssl itself waits for ever for a server that says nothing.
SECONDS = 15
PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


def blocks(text: str) -> List[str]:
    """The certificates of a PEM file, in order."""
    return PEM.findall(text)


def parse_text(text: str) -> Dict[str, Any]:
    """What matters of the output of C(openssl x509 -text); refuses what has no end."""
    end = re.search(r"Not After\s*:\s*(\w{3}\s+\d+ \d\d:\d\d:\d\d \d{4}) GMT", text)
    if end is None:
        raise ValueError("openssl does not say when the certificate expires")
    subject, issuer = (re.search(r"%s:\s*(.*)" % field, text) for field in ("Subject", "Issuer"))
    return {
        "subject": subject.group(1).strip() if subject else "",
        "issuer": issuer.group(1).strip() if issuer else "",
        "names": [name.lower() for name in re.findall(r"(?:DNS|IP Address):([^,\s]+)", text)],
        "expires": calendar.timegm(time.strptime(" ".join(end.group(1).split()), "%b %d %H:%M:%S %Y")),
    }


def read_chain(run: Run, openssl: str, text: str) -> List[Dict[str, Any]]:
    """Each certificate of a PEM text; ValueError where there is none or one cannot be read."""
    found = []
    for block in blocks(text):
        command = [openssl, "x509", "-noout", "-text", "-nameopt", "RFC2253"]
        code, output, error = run(command, data=block + "\n", environ_update={"LC_ALL": "C"})
        if code != 0:
            raise ValueError("openssl cannot read it: {0}".format(error.strip().splitlines()[0] if error else code))
        found.append(parse_text(output))
    if not found:
        raise ValueError("there is no certificate in it")
    return found


def sent_by(run: Run, openssl: str, address: str, port: int, name: str) -> str:
    """The certificates that a server sends for a name, as PEM."""
    where = "[{0}]:{1}".format(address, port) if ":" in address else "{0}:{1}".format(address, port)
    command = ["timeout", str(SECONDS), openssl, "s_client", "-connect", where, "-servername", name, "-showcerts"]
    _code, output, error = run(command, data="", environ_update={"LC_ALL": "C"})
    if not blocks(output):
        raise ValueError("the server at {0} sends no certificate: {1}".format(where, error.strip()[-200:]))
    return output


def expiring(chain: List[Dict[str, Any]], now: float, days: int) -> List[str]:
    """One text for each certificate that ends within so many days."""
    texts = []
    for one in chain:
        left = (one["expires"] - now) / 86400
        if left < days:
            when = time.strftime("%Y-%m-%d", time.gmtime(one["expires"]))
            word = "expired on" if left < 0 else "expires on"
            texts.append("the certificate of {0} {1} {2}".format(one["subject"] or "nobody", word, when))
    return texts


def covers(chain: List[Dict[str, Any]], name: str) -> bool:
    """Whether the first certificate is for a name."""
    parent = "*." + name.lower().partition(".")[2]
    return bool(chain) and (name.lower() in chain[0]["names"] or parent in chain[0]["names"])
