# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the source's web server stands in the way of a move, decided from facts alone."""

from typing import Any, Dict, Iterator

from ansible_collections.ocpizza.cutover.plugins.module_utils import upstreams
from ansible_collections.ocpizza.cutover.plugins.module_utils.finding import INHIBITOR, WARNING, Finding, join

NEEDED_MODULES = ("proxy", "proxy_http", "rewrite")
# In it a request waits that is to be answered inside Apache, or by another protocol than HTTP.
WAITING_MODULE = "lua"
SERVERS = {"apache": "Apache", "nginx": "nginx", "squid": "Squid"}


def decide(facts: Dict[str, Any]) -> Iterator[Finding]:
    """Why the source's web server could not hold the site's requests."""
    web = facts["source"]["web"]
    if not web["config"]:
        yield Finding(
            "web.no_server",
            INHIBITOR,
            "There is no web server on the source that could hold requests",
            "None of /etc/apache2/apache2.conf, /etc/httpd/conf/httpd.conf, /etc/nginx/nginx.conf and "
            "/etc/squid/squid.conf is there.",
            "Set discovery_config to the main configuration file.",
        )
        return
    for finding in {"apache": _apache, "nginx": _nginx, "squid": _squid}[web["server"]](facts):
        yield finding
    for domain, places in sorted(web["domains"].items()):
        if not places:
            yield Finding(
                "vhost.missing",
                INHIBITOR,
                "A domain has no virtual host",
                "No virtual host of {0} is named for {1}.".format(web["config"], domain),
                "Correct site_domains, or add the name to its virtual host on the source.",
            )
        if web["server"] == "squid":
            # Two of its applications may have one domain; whether they are the site's is looked at above.
            continue
        seen = {}  # type: Dict[str, str]
        for place in places:
            where = "{0}:{1}".format(place["file"], place["line"])
            for listen in place["listen"]:
                if seen.setdefault(listen, where) == where:
                    continue
                yield Finding(
                    "vhost.twice",
                    INHIBITOR,
                    "A domain has two virtual hosts",
                    "{0} on {1} is in {2} and in {3}; {4} uses the first.".format(
                        domain, listen, seen[listen], where, SERVERS[web["server"]]
                    ),
                    "Take the name out of the one that is not used.",
                )
                break


def _apache(facts: Dict[str, Any]) -> Iterator[Finding]:
    web = facts["source"]["web"]
    upstream = upstreams.parse(facts["site"].get("upstream") or "127.0.0.1:8000")
    needed = [*NEEDED_MODULES] + ([WAITING_MODULE] if upstream.protocol != upstreams.HTTP else [])
    missing = [name for name in needed if name not in web["modules"] and name not in web["available"]]
    if missing:
        yield Finding(
            "web.modules_missing",
            INHIBITOR,
            "Apache cannot pass requests on",
            "Modules that are neither loaded nor on the disk: {0}.".format(join(missing)),
            "Install the package that brings them.",
        )
    loadable = [name for name in needed if name not in web["modules"] and name in web["available"]]
    if loadable:
        yield Finding(
            "web.modules_not_loaded",
            WARNING,
            "Apache has to load modules",
            "{0} will be loaded when the valve is put in place, with a graceful reload.".format(join(loadable)),
            "Run a2enmod {0} in a quiet hour beforehand.".format(" ".join(loadable)),
        )
    near = float(facts["site"]["near_seconds"])
    if near <= web["keep_alive_s"]:
        yield Finding(
            "web.keep_alive_long",
            WARNING,
            "Apache keeps idle connections longer than is waited for",
            "KeepAliveTimeout is {0:g} s and site_near_seconds {1:g} s: a client whose idle connection Apache closes "
            "when requests are held, just as it sends one, sees an error.".format(web["keep_alive_s"], near),
            "Set site_near_seconds to more than {0:g}.".format(web["keep_alive_s"]),
        )
    for finding in _passed_on(facts["site"].get("upstream", ""), web):
        yield finding


def _passed_on(upstream: str, web: Dict[str, Any]) -> Iterator[Finding]:
    if upstream in ("", upstreams.INSIDE):
        # Inside Apache everything is noted that it answers, whoever answers it.
        return
    addresses = [address for vhost in web["vhosts"] for address in [*vhost["upstreams"], *vhost.get("handlers", [])]]
    php = any(name.startswith("php") for name in web["modules"]) and not addresses
    if php or any(vhost.get("wsgi") for vhost in web["vhosts"]):
        yield Finding(
            "vhost.inside_apache",
            INHIBITOR,
            "Apache runs the application itself",
            "{0} answers requests of the site, and site_upstream is {1}: what runs there would not be seen.".format(
                "mod_php" if php else "mod_wsgi", upstream
            ),
            "Set site_upstream to apache.",
        )
    elif addresses and upstreams.parse(upstream) not in [upstreams.of_apache(address) for address in addresses]:
        yield Finding(
            "vhost.upstream_differs",
            INHIBITOR,
            "The site's requests go elsewhere than expected",
            "site_upstream is {0}, the virtual hosts pass on to {1}.".format(upstream, join(addresses)),
            "Set site_upstream to where the application listens.",
        )


def _unread(web: Dict[str, Any], remedy: str) -> Iterator[Finding]:
    if web["missing"]:
        yield Finding(
            "web.unread",
            INHIBITOR,
            "{0}'s configuration could not be read to its end".format(SERVERS[web["server"]]),
            "What it passes on may be more than was found: {0}.".format(join(web["missing"])),
            remedy,
        )


def _nginx(facts: Dict[str, Any]) -> Iterator[Finding]:
    web = facts["source"]["web"]
    remedy = "See what 'nginx -t' says of that place; where it is content, look at the site's own files and waive this."
    for finding in _unread(web, remedy):
        yield finding
    if web["vhosts"] and not web["passes"]:
        yield Finding(
            "vhost.pass_missing",
            INHIBITOR,
            "nginx passes none of the site's requests on",
            "No server of {0} that serves {1} passes anything on; there is nothing to hold.".format(
                web["config"], join(sorted(web["domains"]))
            ),
            "Correct site_domains, or discovery_config.",
        )
    for place in web["passes"]:
        if place["problem"]:
            yield Finding(
                "vhost.pass_not_held",
                INHIBITOR,
                "Requests of the site cannot be held",
                "{0}:{1}: '{2}' {3}.".format(place["file"], place["line"], place["directive"], place["problem"]),
                place["remedy"],
            )


def _squid(facts: Dict[str, Any]) -> Iterator[Finding]:
    web, upstream = facts["source"]["web"], facts["site"].get("upstream") or "127.0.0.1:8000"
    for finding in _unread(web, "See what 'squid -k parse' says of that place."):
        yield finding
    wanted = upstreams.parse(upstream)
    addresses = sorted({address for vhost in web["vhosts"] for address in vhost["upstreams"]})
    # A name may lead to IPv6 as well, and the rule of NAT is for one IPv4 address.
    if addresses != ["http://" + wanted.address] or wanted.protocol != upstreams.HTTP or "[" in wanted.address:
        yield Finding(
            "vhost.upstream_differs",
            INHIBITOR,
            "The site's requests go elsewhere than expected",
            "site_upstream is {0}, Squid passes on to {1}.".format(upstream, join(addresses) or "nobody"),
            "Set site_upstream to where the application listens, as 127.0.0.1:8000, and have cache_peer name that.",
        )
    if web["pools"]:
        yield Finding(
            "web.pools",
            INHIBITOR,
            "Squid keeps connections to the application",
            "A request on one that is kept passes a hold by, and what runs could not be told from what is kept.",
            "Write 'server_persistent_connections off' into {0} and reload Squid in a quiet hour.".format(
                web["config"]
            ),
        )
    if web["not_led"]:
        yield Finding(
            "web.not_led",
            INHIBITOR,
            "The kernel cannot lead Squid's requests to the valve",
            "Squid looks for no flags, so its connections are led elsewhere by a rule of NAT, and none can be made: "
            "{0}.".format(web["not_led"].rstrip(".")),
            "Install nftables where it is missing; a container needs CAP_NET_ADMIN.",
        )
