# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A web site as the roles nginx and apache take it: what is wrong with one, and one with all its defaults."""

import difflib
import html
import ipaddress
import re
from typing import Any, Dict, Iterable, List, Optional, Set

from ansible_collections.ocpizza.cutover.plugins.module_utils.hosts import host_offence, is_address

Site = Dict[str, Any]

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "strict-origin-when-cross-origin",
}

DEFAULTS: Site = {
    "listen_http": 80,
    "listen_https": None,
    "tls": None,
    "redirect_to_https": None,
    "http2": True,
    "hsts_max_age": 0,
    "upstreams": [],
    "upstream_tls_ca": None,
    "upstream_tls_name": None,
    "upstream_keepalive": 16,
    "upstream_keepalive_timeout": 1,
    "upstream_connect_timeout": 3,
    "upstream_timeout": 60,
    "static": [],
    "trusted_proxies": [],
    "only_from": [],
    "headers": {},
    "client_max_body_size": "10m",
    "includes": [],
    "default": False,
    "maintenance": {},
}
MAINTENANCE: Dict[str, Any] = {
    "allow": [],
    "open_paths": ["/healthz", "/.well-known/acme-challenge/"],
    "retry_after": 300,
    "texts": {
        "fr": "Le site est en maintenance. Merci de revenir dans quelques minutes.",
        "en": "The site is being maintained. Please come back in a few minutes.",
    },
}
KEYS = {
    "": {"name", "domains"} | set(DEFAULTS),
    "tls": {"certificate", "key"},
    "upstreams": {"address", "port", "tls"},
    "static": {"prefix", "root", "archive", "archive_prefix", "expires"},
    "maintenance": set(MAINTENANCE),
}

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}\Z")
PATH = re.compile(r"/[\w@%+=:,./-]*\Z")
SIZE = re.compile(r"(\d+)([kmg]?)\Z", re.IGNORECASE)


def _keys(where: str, given: Any, known: Set[str], required: Iterable[str]) -> List[str]:
    if not isinstance(given, dict):
        return ["%s is no mapping; give it the keys %s" % (where, ", ".join(sorted(known)))]
    problems = []
    for key in sorted(set(map(str, given)) - known):
        near = difflib.get_close_matches(key, sorted(known), 1)
        problems.append(
            "%s has an unknown key '%s'; %s"
            % (where, key, "did you mean '%s'?" % near[0] if near else "it may have " + ", ".join(sorted(known)))
        )
    problems.extend("%s has no '%s'; add it" % (where, key) for key in required if not given.get(key))
    return problems


def is_port(value: Any) -> bool:
    return not isinstance(value, bool) and str(value).isdigit() and 0 < int(value) < 65536


def is_network(value: Any) -> bool:
    try:
        ipaddress.ip_network(str(value), strict=False)
    except ValueError:
        return False
    return True


def _domains(where: str, domains: Any) -> List[str]:
    if not isinstance(domains, list):
        return ["%s: domains is no list; write one domain a line" % where]
    problems = []
    for domain in domains:
        offence = host_offence(str(domain), allow_suffix=False)
        if offence:
            problems.append("%s: domain '%s' %s" % (where, domain, offence))
    return problems


def _upstreams(where: str, site: Site) -> List[str]:
    problems = []
    for upstream in site.get("upstreams") or []:
        found = _keys("%s: an upstream" % where, upstream, KEYS["upstreams"], ())
        if found:
            problems.extend(found)
            continue
        address, port = str(upstream.get("address", "")), upstream.get("port")
        if host_offence(address, allow_suffix=False):
            problems.append(
                "%s: upstream address '%s' is neither an address nor a host name; write the host alone, "
                "its port under 'port'" % (where, address)
            )
        if not is_port(port):
            problems.append("%s: upstream port '%s' of %s is not between 1 and 65535" % (where, port, address))
    tls = {bool(item.get("tls")) for item in site.get("upstreams") or [] if isinstance(item, dict)}
    if len(tls) > 1:
        problems.append("%s: some upstreams have tls and some have not; give all of them the same" % where)
    if True in tls and not site.get("upstream_tls_ca"):
        problems.append(
            "%s: upstreams with tls need upstream_tls_ca, the path on the host of the authority that signed "
            "their certificates" % where
        )
    return problems


def _static(where: str, entries: Any) -> List[str]:
    problems = []
    for entry in entries or []:
        found = _keys("%s: a static entry" % where, entry, KEYS["static"], ("prefix", "root"))
        if found:
            problems.extend(found)
            continue
        prefix, root = str(entry["prefix"]), str(entry["root"])
        if not PATH.match(prefix) or not prefix.endswith("/") or ".." in prefix:
            # Without both slashes an alias would serve the folder's neighbours as well.
            problems.append("%s: static prefix '%s' must begin and end with a slash, as /static/" % (where, prefix))
        if not PATH.match(root) or root.strip("/") == "" or ".." in root:
            problems.append("%s: static root '%s' is no absolute path of a folder on the host" % (where, root))
        if entry.get("archive_prefix") and not entry.get("archive"):
            problems.append("%s: static %s has archive_prefix without archive" % (where, prefix))
    return problems


def _listening(where: str, site: Site) -> List[str]:
    problems = []
    for key in ("listen_http", "listen_https"):
        value = site.get(key)
        if value not in (None, False) and not is_port(value):
            problems.append("%s: %s is '%s'; give a port between 1 and 65535, or false" % (where, key, value))
    tls = site.get("tls")
    if tls:
        problems.extend(_keys("%s: tls" % where, tls, KEYS["tls"], ("certificate", "key")))
    if site.get("listen_https") and not tls:
        problems.append(
            "%s: listen_https without tls; give tls.certificate and tls.key, or set listen_https: false" % where
        )
    if problems:
        return problems
    full = complete_site(dict(site, upstreams=[], static=[]))
    if not full["listen_http"] and not full["listen_https"]:
        problems.append("%s: it listens nowhere; set listen_http, or listen_https with tls" % where)
    if site.get("redirect_to_https") and not full["listen_https"]:
        problems.append("%s: redirect_to_https without listen_https; give tls, or leave the redirect out" % where)
    return problems


def _maintenance(where: str, given: Any) -> List[str]:
    where = "%s: maintenance" % where
    problems = _keys(where, given, KEYS["maintenance"], ())
    if problems:
        return problems
    for value in given.get("allow") or []:
        if not is_network(value):
            problems.append("%s: allow '%s' is no IP address or network" % (where, value))
    for path in given.get("open_paths") or []:
        if not PATH.match(str(path)):
            problems.append("%s: open_paths '%s' is no path as /healthz or /below/" % (where, path))
    if not re.match(r"[1-9]\d{0,6}\Z", str(given.get("retry_after", MAINTENANCE["retry_after"]))):
        problems.append("%s: retry_after '%s' is no number of seconds" % (where, given["retry_after"]))
    texts = given.get("texts", MAINTENANCE["texts"])
    if not isinstance(texts, dict) or not texts:
        problems.append("%s: texts has no text; give one for each language, such as {fr: ...}" % where)
        return problems
    for language in texts:
        if not re.match(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*\Z", str(language)):
            problems.append("%s: texts has '%s', which is no language such as fr or pt-BR" % (where, language))
    return problems


def maintenance_page(texts: Dict[str, str]) -> str:
    """The page in all of a site's languages, in characters that both web servers take in quotes."""
    parts = "".join(
        "<p lang='%s'>%s</p>" % (language, html.escape(str(text)).replace("&quot;", "&#34;").replace("&#x27;", "&#39;"))
        for language, text in texts.items()
    )
    page = "<!doctype html><meta charset='utf-8'><title>503</title>%s" % parts
    # What a configuration file would read as its own.
    for sign in "$%\\\n\r\t":
        page = page.replace(sign, "&#%d;" % ord(sign))
    return "".join(sign if ord(sign) < 128 else "&#%d;" % ord(sign) for sign in page)


def _values(where: str, site: Site) -> List[str]:
    problems = []
    for key in ("trusted_proxies", "only_from"):
        for value in site.get(key) or []:
            if not is_network(value):
                problems.append("%s: %s '%s' is no IP address or network" % (where, key, value))
    if not SIZE.match(str(site.get("client_max_body_size", "10m"))):
        problems.append(
            "%s: client_max_body_size '%s' is no size; write 10m, 512k or bytes" % (where, site["client_max_body_size"])
        )
    for name, value in (site.get("headers") or {}).items():
        if not re.match(r"[A-Za-z0-9-]+\Z", str(name)) or re.search(r"[\r\n$\\]", str(value)):
            problems.append("%s: header '%s' has a name or value with characters that cannot be sent" % (where, name))
    paths = [site.get("upstream_tls_ca"), *(site.get("includes") or [])]
    paths.extend((site.get("tls") or {}).values() if isinstance(site.get("tls"), dict) else [])
    for path in paths:
        if path and not re.match(r"/[\w@%+=:,./*-]*\Z", str(path)):
            problems.append("%s: '%s' is no absolute path on the host" % (where, path))
    return problems


def site_problems(sites: Any) -> List[str]:
    """Everything that is wrong with a list of sites, one text each; empty when they can be served."""
    if not isinstance(sites, list):
        return ["the sites are no list; write one site an item, each with name and domains"]
    problems: List[str] = []
    names: Set[str] = set()
    claimed: Dict[str, str] = {}
    defaults: Dict[int, str] = {}
    for number, site in enumerate(sites, 1):
        found = _keys("site number %d" % number, site, KEYS[""], ("name", "domains"))
        if found:
            problems.extend(found)
            continue
        name = str(site["name"])
        where = "site '%s'" % name
        if not NAME.match(name):
            problems.append("%s: its name must be lower-case letters, digits, - _ . and begin with no sign" % where)
        if name in names:
            problems.append("%s: there are two sites of that name; rename one" % where)
        names.add(name)
        found = [
            *_domains(where, site["domains"]),
            *_upstreams(where, site),
            *_static(where, site.get("static")),
            *_listening(where, site),
            *_values(where, site),
            *_maintenance(where, site.get("maintenance") or {}),
        ]
        problems.extend(found)
        if found:
            continue
        if not site.get("upstreams") and not site.get("static"):
            problems.append("%s: it has neither upstreams nor static; give it something to serve" % where)
        for domain in site["domains"]:
            other = claimed.setdefault(str(domain).lower(), name)
            if other != name:
                problems.append("%s: domain '%s' belongs to site '%s' already" % (where, domain, other))
        if site.get("default"):
            for port in complete_site(site)["ports"]:
                other = defaults.setdefault(port, name)
                if other != name:
                    problems.append("%s: site '%s' is the default of port %d already" % (where, other, port))
    return problems


def complete_site(site: Site) -> Site:
    """One site with every key, and what the templates would otherwise compute each for itself."""
    full = dict(DEFAULTS)
    full.update({key: value for key, value in site.items() if value is not None})
    full["listen_http"] = int(full["listen_http"]) if full["listen_http"] else False
    if full["listen_https"] is None:
        full["listen_https"] = 443 if full["tls"] else False
    full["listen_https"] = int(full["listen_https"]) if full["listen_https"] else False
    if full["redirect_to_https"] is None:
        full["redirect_to_https"] = bool(full["listen_http"] and full["listen_https"])
    full["ports"] = [port for port in (full["listen_http"], full["listen_https"]) if port]
    full["headers"] = {key: value for key, value in dict(HEADERS, **full["headers"]).items() if value}
    full["id"] = "site_" + re.sub(r"\W", "_", str(full.get("name", "")))
    full["upstreams"] = [
        {"host": _host(str(item.get("address"))), "port": item.get("port")} for item in full["upstreams"]
    ]
    full["upstream_scheme"] = "https" if any(item.get("tls") for item in site.get("upstreams") or []) else "http"
    domains = full.get("domains")
    if not full["upstream_tls_name"] and isinstance(domains, list) and domains:
        full["upstream_tls_name"] = domains[0]
    full["maintenance"] = dict(MAINTENANCE, **(full["maintenance"] if isinstance(full["maintenance"], dict) else {}))
    full["maintenance_page"] = maintenance_page(full["maintenance"]["texts"])
    full["client_max_body_bytes"] = size_in_bytes(str(full["client_max_body_size"]))
    full["static"] = [dict({"expires": 3600, "archive": None, "archive_prefix": ""}, **item) for item in full["static"]]
    return full


def _host(address: str) -> str:
    return "[%s]" % address if ":" in address and is_address(address) and not address.startswith("[") else address


def size_in_bytes(size: str) -> Optional[int]:
    """10m in bytes; None for what is no size."""
    match = SIZE.match(size)
    if not match:
        return None
    factor: int = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}[match.group(2).lower()]
    return int(match.group(1)) * factor


def complete_sites(sites: List[Site]) -> List[Site]:
    """All sites, each complete."""
    return [complete_site(site) for site in sites]
