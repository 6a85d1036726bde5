# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of access logs: the usual formats, JSON, and any LogFormat of Apache or log_format of nginx."""

import calendar
import json
import re
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional, Pattern, Tuple

MONTHS = dict(zip(["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], range(1, 13)))
CLF_TIME = re.compile(r"(\d\d)/(\w{3})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)")
ISO_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,]\d+)?)?\s*(?:(Z)|([+-])(\d\d):?(\d\d)?)\Z"
)
AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])\Z")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}

COMMON = '%h %l %u %t "%r" %>s %b'
COMBINED = COMMON + ' "%{Referer}i" "%{User-Agent}i"'
# The order is that in which a line is tried: each would also fit those that a later one is the beginning of.
FORMATS = {
    "vhost_combined": "%v:%p " + COMBINED,
    "combined": COMBINED,
    "vhost_common": "%v:%p " + COMMON,
    "common": COMMON,
}

FIELDS = {
    "client": ("%h", "%a", "%{c}a", "$remote_addr"),
    "time": ("%t", "[$time_local]", "$time_local", "$time_iso8601", "$msec"),
    "vhost": ("%v", "%V", "%{Host}i", "$host", "$server_name", "$http_host"),
    "request": ("%r", "$request"),
    "method": ("%m", "$request_method"),
    "path": ("%U", "$uri", "$request_uri"),
    "status": ("%>s", "%s", "$status"),
    "agent": ("%{User-Agent}i", "%{User-agent}i", "$http_user_agent"),
}
NAMES = {token: name for name, tokens in FIELDS.items() for token in tokens}
JSON_KEYS = {
    "client": ("remote_addr", "client_ip", "clientip", "client", "remote_ip", "remote_host", "remoteIP"),
    "time": ("time_iso8601", "@timestamp", "timestamp", "time_local", "time", "ts", "msec"),
    "vhost": ("host", "http_host", "server_name", "vhost", "vhost_name"),
    "request": ("request", "request_line"),
    "method": ("request_method", "method", "verb"),
    "path": ("request_uri", "uri", "path", "url"),
    "status": ("status", "status_code", "response"),
    "agent": ("http_user_agent", "user_agent", "agent", "userAgent"),
}
TOKEN = re.compile(r"%[!\d,<>]*(?:\{[^}]*\})?(?:\^[A-Za-z]{2}|[A-Za-z])|%%|\[\$time_local\]|\$\{?\w+\}?")
QUOTED = r'[^"\\]*(?:\\.[^"\\]*)*'


class Request(NamedTuple):
    """One request as a log has it; '' where the format does not say."""

    client: str
    time: float
    vhost: str
    path: str
    status: str
    agent: str
    method: str = ""


def parse_time(text: str) -> Optional[float]:
    """Seconds since 1970 of a time with its zone, or of seconds or milliseconds since then; nothing for another."""
    text = text.strip().strip("[]")
    match = CLF_TIME.match(text)
    if match:
        day, month, year, hour, minute, second, sign, ahead, minutes = match.groups()
        when = (int(year), MONTHS.get(month, 0), int(day), int(hour), int(minute), int(second))
        return _utc(when, sign, ahead, minutes)
    match = ISO_TIME.match(text)
    if match:
        when = tuple(int(part or 0) for part in match.groups()[:6])  # type: ignore[assignment]
        return _utc(when, match.group(8) or "+", match.group(9) or "0", match.group(10) or "0")
    if re.match(r"\d{9,13}(\.\d+)?\Z", text):
        number = float(text)
        return number / 1000 if number > 1e11 else number
    return None


def _utc(when: Any, sign: str, hours: str, minutes: str) -> Optional[float]:
    if not (1 <= when[1] <= 12 and 1 <= when[2] <= calendar.monthrange(max(1, when[0]), when[1])[1]):
        return None
    ahead = (int(hours) * 60 + int(minutes)) * 60
    return float(calendar.timegm((*when, 0, 0, 0))) - (ahead if sign == "+" else -ahead)


def parse_since(text: str, now: float) -> float:
    """A time of day with its zone, or how long ago: 90m, 12h, 7d."""
    match = AGE.match(text.strip())
    if match:
        return now - float(match.group(1)) * SECONDS[match.group(2)]
    found = parse_time(text)
    if found is None:
        raise ValueError(
            "'{0}' is no time: write how long ago (90m, 12h, 7d) or a time with its zone "
            "(2026-11-23T08:00:00+01:00)".format(text)
        )
    return found


def pattern(text: str) -> Pattern[str]:
    """The regular expression of a LogFormat or log_format; refuses one that says neither who nor when."""
    text = text.replace('\\"', '"')
    parts, at, seen = [], 0, set()
    for match in TOKEN.finditer(text):
        parts.append(re.escape(text[at : match.start()]))
        at = match.end()
        what = re.sub(r"^%[!\d,]+", "%", match.group(0))
        what = "$" + what.strip("${}") if what.startswith("$") else what
        before, after = text[match.start() - 1 : match.start()], text[at : at + 1]
        name = NAMES.get(what, "time" if what.endswith("}t") else "")
        value = QUOTED if before == '"' else r"[^\]]*" if before == "[" else r"\S+"
        if what == "%%":
            parts.append("%")
            continue
        if what in ("%t", "[$time_local]"):
            value = r"\[[^\]]*\]"
        elif what in ("%u", "$remote_user") and after == " ":
            # The name that somebody tried to log in with may have spaces.
            value = r".+?"
        elif name == "vhost" and after == ":":
            value = r"\S+?"
        elif name == "client":
            # Else the address of an IPv6 client would be taken for a name and its port.
            value = r"(?!- )\S+"
        parts.append("(?P<{0}>{1})".format(name, value) if name and name not in seen else value)
        seen.add(name)
    missing = {"client", "time"} - seen
    if missing:
        raise ValueError("the log's format '{0}' does not say the {1}".format(text, " or the ".join(sorted(missing))))
    return re.compile("".join(parts) + re.escape(text[at:]))


def _request(fields: Mapping[str, Any], when: Optional[float]) -> Optional[Request]:
    """A request from its fields; nothing without client and time."""
    if when is None or not fields.get("client"):
        return None
    words = str(fields.get("request") or "").split(" ")
    path = str(fields.get("path") or (words[1] if len(words) > 1 else ""))
    method = str(fields.get("method") or (words[0] if len(words) > 1 else ""))
    vhost = str(fields.get("vhost") or "")
    if vhost:
        vhost = re.sub(r":\d+$", "", vhost).lower()
    status, agent = (str(fields.get(name) or "") for name in ("status", "agent"))
    return Request(str(fields["client"]), when, vhost, path, status, agent, method)


class Parser:
    """Reads lines of one log; with ``auto`` each of any known format."""

    def __init__(self, form: str = "auto") -> None:
        self.now: Tuple[str, Optional[float]] = ("", None)
        self.readers: Dict[str, Callable[[str], Optional[Request]]] = {}
        if form == "json":
            self.readers = {"json": self._json}
        elif form == "auto":
            self.readers.update(
                {name: self._matching(pattern(text)) for name, text in FORMATS.items()}, json=self._json
            )
        else:
            self.readers = {form: self._matching(pattern(FORMATS.get(form, form)))}
        self.form = ""

    def parse(self, line: str) -> Optional[Request]:
        """The request, or nothing where the line is of another format; ``form`` says of which it was."""
        for name, reader in self.readers.items():
            found = reader(line)
            if found is not None:
                self.form = name
                return found
        return None

    def _when(self, text: str) -> Optional[float]:
        # Thousands of lines have the same second.
        if self.now[0] != text:
            self.now = (text, parse_time(text))
        return self.now[1]

    def _matching(self, expression: Pattern[str]) -> Callable[[str], Optional[Request]]:
        def reader(line: str) -> Optional[Request]:
            match = expression.match(line)
            if match is None:
                return None
            fields = match.groupdict()
            return _request(fields, self._when(fields["time"]))

        return reader

    def _json(self, line: str) -> Optional[Request]:
        try:
            given = json.loads(line)
        except ValueError:
            return None
        if not isinstance(given, dict):
            return None
        nested = given.get("request")
        if isinstance(nested, dict):
            given = dict(nested, **{key: value for key, value in given.items() if key != "request"})
        fields = {name: next((given[key] for key in keys if given.get(key)), "") for name, keys in JSON_KEYS.items()}
        return _request(fields, self._when(str(fields["time"])))
