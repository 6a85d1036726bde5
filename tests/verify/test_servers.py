# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each role should have made of a server, and still should be."""

from __future__ import annotations

import ipaddress
import json
import re
import time
from typing import Any

import pytest
from testinfra.host import Host

Facts = dict[str, Any]
EVERYWHERE = str(ipaddress.IPv4Address(0))
WARN_DAYS = 14
ASK = """
import http.client, socket, ssl, sys
kind, port, name, path = sys.argv[1:5]
connection = http.client.HTTPConnection(name, int(port), timeout=10)
connection.sock = socket.create_connection(("127.0.0.1", int(port)), timeout=10)
if kind == "https":
    context = ssl._create_unverified_context()
    connection.sock = context.wrap_socket(connection.sock, server_hostname=name)
connection.request("GET", path)
answer = connection.getresponse()
print(answer.status, answer.getheader("location", ""))
"""


def listening(server: Host, port: int) -> set[str]:
    """The addresses on which a host listens to a port."""
    lines = [line.split()[3] for line in server.check_output("ss -Hltn").splitlines()]
    return {line.rpartition(":")[0].strip("[]").replace("*", EVERYWHERE) for line in lines if line.endswith(f":{port}")}


def may_listen(address: str, wanted: str) -> bool:
    """Whether an address is the wanted one, or is reached by this host alone."""
    return (
        address == wanted
        or wanted in (EVERYWHERE, "*")
        or ipaddress.ip_address(address.split("%", maxsplit=1)[0]).is_loopback
    )


def is_service_up(server: Host, name: str) -> None:
    service = server.service(name)
    assert service.is_running, f"{name} does not run"
    assert service.is_enabled, f"{name} does not start at boot"


def writable_by_all(server: Host, *folders: str) -> list[str]:
    there = [folder for folder in folders if server.file(folder).exists]
    return (
        server.check_output(f"find {' '.join(there)} -xdev -perm -002 ! -type l ! -type s").splitlines()
        if there
        else []
    )


# Application servers


def test_the_application_runs_under_supervisor(server: Host, gunicorn: Facts) -> None:
    state = server.run("supervisorctl status %s", gunicorn["name"]).stdout.split()
    assert state[1:2] == ["RUNNING"], " ".join(state) or "supervisor does not answer"
    is_service_up(server, "supervisor")


def test_the_application_runs_as_its_own_user(server: Host, gunicorn: Facts) -> None:
    processes = server.process.filter(comm="gunicorn") or server.process.filter(comm="python3")
    users = {process.user for process in processes if gunicorn["home"] in process.args}
    assert users, "no process of the application was found"
    assert users <= {gunicorn["user"], server.check_output("id -u %s", gunicorn["user"])}, users


def test_the_release_is_the_one_that_was_deployed(server: Host, gunicorn: Facts) -> None:
    assert server.file(f"{gunicorn['home']}/current").linked_to == f"{gunicorn['home']}/releases/{gunicorn['release']}"


def test_the_secrets_are_the_users_alone(server: Host, gunicorn: Facts) -> None:
    file = server.file(f"/etc/{gunicorn['name']}/secrets.env")
    assert (file.user, oct(file.mode)) == (gunicorn["user"], oct(0o400))


def test_nobody_else_may_write_what_the_application_runs(server: Host, gunicorn: Facts) -> None:
    assert writable_by_all(server, gunicorn["home"], f"/etc/{gunicorn['name']}", gunicorn["log_dir"]) == []
    code = f"{gunicorn['home']}/current/"
    assert server.check_output("find %s -user %s ! -path '*/__pycache__*'", code, gunicorn["user"]) == ""


# Web servers


def test_the_web_server_runs_with_a_configuration_that_is_right(server: Host, web: Facts) -> None:
    is_service_up(server, web["server"])
    test = server.run("nginx -t" if web["server"] == "nginx" else "apache2ctl -t")
    assert test.rc == 0, test.stderr


def test_each_domain_is_answered(server: Host, web: Facts) -> None:
    found = {}
    for site in web["sites"]:
        kind, port = ("https", 443) if site.get("tls") else ("http", 80)
        for name in site["domains"]:
            asked = server.run("python3 -c %s %s %s %s %s", ASK, kind, str(port), name.replace("*", "www"), "/")
            found[name] = asked.stdout.strip() or asked.stderr.strip().splitlines()[-1]
    assert not {name: text for name, text in found.items() if not re.match(r"[23]\d\d ", text + " ")}


def test_http_leads_to_https(server: Host, web: Facts) -> None:
    for site in web["sites"]:
        if site.get("tls") and site.get("redirect_to_https", True):
            for name in site["domains"]:
                asked = server.check_output("python3 -c %s http 80 %s /", ASK, name.replace("*", "www"))
                assert re.match(r"30[18] https://", asked), f"{name}: {asked}"


def test_certificates_last_and_their_keys_are_kept(server: Host, web: Facts) -> None:
    for site in web["sites"]:
        if not site.get("tls"):
            continue
        certificate, key = site["tls"]["certificate"], server.file(site["tls"]["key"])
        ends = server.run("openssl x509 -checkend %s -noout -in %s", str(WARN_DAYS * 86400), certificate)
        assert ends.rc == 0, f"{certificate} ends within {WARN_DAYS} days: {ends.stdout}{ends.stderr}"
        assert key.mode & 0o007 == 0, f"{site['tls']['key']} may be read by everybody"


def test_old_versions_of_tls_are_refused(server: Host, web: Facts) -> None:
    for site in web["sites"]:
        if site.get("tls"):
            name = site["domains"][0].replace("*", "www")
            old = server.run("openssl s_client -connect 127.0.0.1:443 -servername %s -tls1_1 </dev/null", name)
            assert old.rc != 0, f"{name} takes TLS 1.1"


def test_nobody_may_write_the_web_servers_configuration(server: Host, web: Facts) -> None:
    assert writable_by_all(server, f"/etc/{web['server']}") == []


# Database servers


def test_mysql_runs(server: Host, mysql: Facts) -> None:
    is_service_up(server, "mariadb" if mysql["flavour"] == "mariadb" else "mysql")
    there = server.check_output("%s --no-defaults -BNe 'SHOW DATABASES'", mysql["flavour"]).split()
    assert set(mysql["databases"]) <= set(there)


def test_mysql_listens_where_it_should_alone(server: Host, mysql: Facts) -> None:
    found = listening(server, mysql["port"])
    assert found, f"nothing listens on port {mysql['port']}"
    assert [address for address in found if not may_listen(address, mysql["address"])] == []


def test_mysql_lets_nobody_in_by_the_network_without_tls(server: Host, mysql: Facts) -> None:
    query = "SELECT user, host FROM mysql.user WHERE host NOT IN ('localhost', '127.0.0.1', '::1') AND ssl_type = ''"
    found = server.check_output("%s --no-defaults -BNe %s", mysql["flavour"], query).splitlines()
    assert [line for line in found if line.split("\t")[0] in mysql["users"]] == []
    loose = "SELECT user, host FROM mysql.user WHERE user = '' OR (user = 'root' AND host <> 'localhost')"
    assert server.check_output("%s --no-defaults -BNe %s", mysql["flavour"], loose) == ""


def test_postgresql_runs(server: Host, postgresql: Facts) -> None:
    is_service_up(server, "postgresql")
    names = server.check_output("runuser -u postgres -- psql -XAtc 'SELECT datname FROM pg_database'").split()
    assert set(postgresql["databases"]) <= set(names)


def test_postgresql_listens_where_it_should_alone(server: Host, postgresql: Facts) -> None:
    found = listening(server, postgresql["port"])
    assert found, f"nothing listens on port {postgresql['port']}"
    assert [address for address in found if not may_listen(address, postgresql["address"])] == []


def test_postgresql_lets_nobody_in_by_the_network_without_tls(server: Host, postgresql: Facts) -> None:
    query = (
        "SELECT type || ' ' || coalesce(address, '') || ' ' || auth_method FROM pg_hba_file_rules WHERE type IN "
        "('host', 'hostnossl') AND address NOT IN ('127.0.0.1', '::1') OR auth_method IN ('trust', 'password')"
    )
    assert server.check_output("runuser -u postgres -- psql -XAtc %s", query) == ""


# Whatever is served as it lies there


def test_static_files_are_whole_and_nobodys_to_change(server: Host, static: list[str]) -> None:
    for root in static:
        assert server.file(root).is_symlink, f"{root} is no link to a version"
        assert server.file(root).is_directory, f"the version of {root} is not there"
        assert server.check_output("find -L %s -maxdepth 3 ! -user root", root) == ""
        assert writable_by_all(server, f"{root}/") == []


# The old server


def test_the_old_server_holds_no_request(server: Host, source: Facts) -> None:
    for flag in ("hold", "valve"):
        assert not server.file(f"{source['runtime']}/{flag}").exists, f"requests are held: {source['runtime']}/{flag}"


def test_the_old_server_comes_back_after_a_restart_as_it_is(server: Host, source: Facts) -> None:
    state = server.file(f"{source['state']}/state.json")
    if not state.exists or json.loads(state.content_string).get("side") != "target":
        pytest.skip("the site lives there, or the old server was retired")
    for unit in (f"cutover-{source['site']}-relay.service", f"cutover-{source['site']}-recovery.service"):
        assert server.service(unit).is_enabled, f"{unit} does not start at boot"


def test_what_squid_asks_is_led_to_the_door(server: Host, source: Facts) -> None:
    if not server.file(f"{source['state']}/door.nft").exists:
        pytest.skip("the web server looks for the flags itself")
    for unit in ("door.socket", "door-rules.service"):
        assert server.service(f"cutover-{source['site']}-{unit}").is_enabled, f"{unit} does not start at boot"
    assert server.run(f"nft list table ip cutover-{source['site']}").rc == 0, "the kernel leads nothing to the door"


# Every server


def test_the_firewall_is_loaded(server: Host, firewall: bool) -> None:
    assert firewall
    is_service_up(server, "cutover-firewall")
    assert server.run("nft list table inet cutover").rc == 0


def test_exporters_run_and_answer_no_stranger(server: Host, monitoring: Facts) -> None:
    ports = {"node": 9100, "mysqld": 9104, "postgres": 9187, "nginx": 9113, "apache": 9117}
    for exporter in monitoring["exporters"]:
        is_service_up(server, f"prometheus-{exporter}-exporter")
        found = listening(server, ports[exporter])
        assert found, f"nobody listens on {ports[exporter]}"
        wanted = monitoring["address"] if monitoring["tls"] else "127.0.0.1"
        assert [address for address in found if not may_listen(address, wanted)] == []


def test_backups_are_made_and_proven(server: Host, backup: Facts) -> None:
    for unit in (f"cutover-backup-{backup['site']}.timer", f"cutover-backup-drill-{backup['site']}.timer"):
        assert server.run("systemctl is-active %s", unit).stdout.strip() == "active", unit
    drill = json.loads(server.file(f"{backup['directory']}/status.json").content_string).get("drill", {})
    assert drill.get("verdict") == "PASSED", drill.get("text", "no restore drill has run")
    assert time.time() - drill["when"] < backup["max_age"], "the last restore drill is too old"


@pytest.fixture(autouse=True)
def _told_why(server: Host) -> None:
    """A host that does not answer fails each of its tests with the reason."""
    assert server.run("true").rc == 0, (
        f"{server.backend.get_connection_type()} {server.backend.hostname} does not answer"
    )
