# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apache's virtual hosts, read from a configuration on disk."""

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import nginx_valve
from ansible_collections.ocpizza.cutover.plugins.modules import vhost_info
from tests.unit.plugins.fakes import ModuleFailedError, run_module

MAIN = """LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
Timeout 60
KeepAliveTimeout 500ms
MaxRequestWorkers 150
IncludeOptional sites-enabled/*.conf
"""
SITE = """<VirtualHost *:80>
  ServerName shop.test
  ServerAlias *.shop.test
  DocumentRoot ${APACHE_WEB}/shop
  ProxyPass / http://127.0.0.1:8000/
</VirtualHost>
<VirtualHost *:80>
  ServerName annex.test
</VirtualHost>
<VirtualHost *:443>
  ServerName shop.test
  SSLEngine on
  KeepAliveTimeout 15
</VirtualHost>
"""


class House:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.folder = folder / "apache2"
        (self.folder / "sites-enabled").mkdir(parents=True)
        self.config = self.folder / "apache2.conf"
        self.config.write_text(MAIN)
        self.site = self.folder / "sites-enabled" / "shop.conf"
        self.site.write_text(SITE)
        (self.folder / "envvars").write_text("export APACHE_WEB=/srv\n")
        modules = folder / "modules"
        modules.mkdir()
        for name in ("mod_rewrite.so", "mod_proxy.so", "libphp.so"):
            (modules / name).write_text("")
        monkeypatch.setattr(vhost_info, "CONFIGS", (str(folder / "none.conf"), str(self.config)))
        monkeypatch.setattr(vhost_info, "MODULE_FOLDERS", (str(modules), str(folder / "none")))

    def run(self, check: bool = False, **more: Any) -> dict[str, Any]:
        return run_module(vhost_info, self.monkeypatch, check, **{"domains": ["shop.test"], **more})


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    return House(tmp_path, monkeypatch)


def test_the_sites_virtual_hosts_and_the_others_check_mode_or_not(house: House) -> None:
    results = [house.run(check) for check in (True, False, True, False)]
    assert results[1:] == results[:1] * 3
    result = results[0]
    assert (result["changed"], result["config"], result["missing"]) == (False, str(house.config), [])
    assert [(vhost["line"], vhost["tls"]) for vhost in result["vhosts"]] == [(1, False), (10, True)]
    assert [vhost["names"] for vhost in result["others"]] == [["annex.test"]]
    assert result["vhosts"][0]["upstreams"] == ["http://127.0.0.1:8000/"]


def test_variables_come_from_envvars(house: House) -> None:
    assert house.run()["vhosts"][0]["document_root"] == "/srv/shop"
    (house.folder / "envvars").unlink()
    assert house.run()["vhosts"][0]["document_root"] == "${APACHE_WEB}/shop"


def test_each_domain_has_its_places(house: House) -> None:
    site = str(house.site)
    assert house.run(domains=["shop.test", "www.shop.test", "none.test"])["domains"] == {
        "shop.test": [
            {"file": site, "line": 1, "listen": ["*:80"]},
            {"file": site, "line": 10, "listen": ["*:443"]},
        ],
        "www.shop.test": [{"file": site, "line": 1, "listen": ["*:80"]}],
        "none.test": [],
    }


def test_modules_and_limits(house: House) -> None:
    result = house.run()
    assert (result["modules"], result["mpm"]) == (["mpm_event", "proxy"], "mpm_event")
    assert result["available"] == ["proxy", "rewrite"]
    assert result["keep_alive_s"] == 15
    assert result["limits"] == {"timeout": "60", "maxrequestworkers": "150"}


def test_without_apache_everything_is_empty(house: House) -> None:
    house.config.unlink()
    result = house.run(domains=["shop.test"])
    assert (result["config"], result["vhosts"], result["domains"]) == ("", [], {"shop.test": []})
    house.config.write_text(MAIN)
    assert set(house.run()) == set(result)


def test_a_configuration_that_is_named_and_not_there_fails(house: House) -> None:
    with pytest.raises(ModuleFailedError) as raised:
        house.run(config="/none/apache2.conf")
    assert str(raised.value) == (
        "Apache's configuration cannot be read, /none/apache2.conf: No such file or directory. Run the task as root."
    )


def test_an_included_file_that_cannot_be_read_is_told(house: House) -> None:
    (house.folder / "sites-enabled" / "broken.conf").symlink_to("/none/broken.conf")
    result = house.run()
    assert result["missing"] == [f"{house.folder}/sites-enabled/broken.conf: No such file or directory"]
    assert len(result["vhosts"]) == 2


def test_red_hats_folder_of_the_main_file_is_not_the_root(house: House) -> None:
    (house.folder / "conf").mkdir()
    config = house.folder / "conf" / "httpd.conf"
    config.write_text(MAIN)
    assert [vhost["file"] for vhost in house.run(config=str(config))["vhosts"]] == [str(house.site)] * 2


def test_odd_bytes_in_a_comment_do_no_harm(house: House) -> None:
    house.site.write_bytes(b"# caf\xe9\n" + SITE.encode())
    assert [vhost["line"] for vhost in house.run()["vhosts"]] == [2, 11]


class NginxHouse:
    def __init__(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        self.house = house
        folder = house.folder.parent / "nginx"
        folder.mkdir()
        self.config = folder / "nginx.conf"
        self.site = folder / "shop"
        self.config.write_text(
            "events { worker_connections 768; }\nhttp {\nproxy_set_header Host $host;\n"
            f"include {self.site};\nserver {{ server_name annex.test; }}\n}}\n"
        )
        self.site.write_text("server {\nserver_name shop.test;\nlocation / { proxy_pass http://127.0.0.1:8000; }\n}\n")
        monkeypatch.setattr(vhost_info, "NGINX_CONFIGS", (str(self.config),))

    def run(self, **more: Any) -> dict[str, Any]:
        return self.house.run(**{"upstream": "127.0.0.1:8000", "valve": "shop", **more})


@pytest.fixture
def nginx(house: House, monkeypatch: pytest.MonkeyPatch) -> NginxHouse:
    return NginxHouse(house, monkeypatch)


def test_the_server_with_virtual_hosts_for_the_domains_is_taken(nginx: NginxHouse) -> None:
    assert nginx.run()["server"] == "apache"
    assert nginx.run(server="nginx")["server"] == "nginx"
    assert nginx.run(config=str(nginx.config))["server"] == "nginx"
    assert nginx.run(domains=["none.test"])["server"] == "apache"
    nginx.house.site.write_text("")
    assert nginx.run()["server"] == "nginx"
    nginx.house.config.unlink()
    assert nginx.run(domains=["none.test"])["server"] == "nginx"
    assert (nginx.run(server="apache")["server"], nginx.run(server="apache")["config"]) == ("", "")


def test_the_servers_of_nginx_and_what_they_pass_on(nginx: NginxHouse) -> None:
    result = nginx.run(server="nginx")
    assert result["domains"] == {"shop.test": [{"file": str(nginx.site), "line": 1, "listen": ["*:80"]}]}
    assert [vhost["names"] for vhost in result["others"]] == [["annex.test"]]
    assert [(place["line"], place["problem"]) for place in result["passes"]] == [(3, "")]
    assert (result["limits"], result["valve_files"]) == ({"worker_connections": "768"}, [])
    assert set(result) == set(nginx.house.run())


def test_what_the_workers_run_as(nginx: NginxHouse) -> None:
    assert nginx.run(server="nginx")["user"] == "www-data"
    nginx.config.write_text("user web staff;\n" + nginx.config.read_text())
    assert nginx.run(server="nginx")["user"] == "web"


def test_an_application_that_cannot_be_is_refused_in_words(nginx: NginxHouse) -> None:
    with pytest.raises(ModuleFailedError, match="'https://a:1' is no address of an application; write 127"):
        nginx.run(server="nginx", upstream="https://a:1")


def test_headers_may_be_secrets_and_are_told_when_asked_for(nginx: NginxHouse) -> None:
    assert nginx.run(server="nginx")["passes"][0]["headers"] == []
    assert nginx.run(server="nginx", headers=True)["passes"][0]["headers"] == [["Host", "$host"]]


def test_a_valve_that_is_there_changes_nothing_of_what_is_told(nginx: NginxHouse) -> None:
    before = nginx.run(server="nginx")
    nginx.site.write_text(nginx_valve.add(nginx.site.read_text(), "shop", [1], {3: ""}, True))
    assert nginx.run(server="nginx") == {**before, "valve_files": [str(nginx.site)]}
    assert nginx.run(server="nginx", valve="")["passes"][0]["problem"] == "has a variable"


def test_a_configuration_of_nginx_that_is_named_and_not_there_fails(nginx: NginxHouse) -> None:
    with pytest.raises(ModuleFailedError) as raised:
        nginx.run(config="/none/nginx.conf")
    assert str(raised.value) == (
        "nginx's configuration cannot be read, /none/nginx.conf: No such file or directory. Run the task as root."
    )


SQUID = """http_port 80 accel vhost
acl shop dstdomain shop.test
cache_peer 127.0.0.1 parent 8000 0 originserver name=shop
cache_peer_access shop allow shop
cache_peer_access shop deny all
cache_peer 127.0.0.1 parent 8001 0 originserver name=annex
acl annex dstdomain annex.test
cache_peer_access annex allow annex
cache_effective_user root
"""


class SquidHouse:
    """Squid alone, and nft as it answers here."""

    def __init__(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        self.house = house
        house.config.unlink()
        self.config = house.folder.parent / "squid.conf"
        self.config.write_text(SQUID)
        tools = house.folder.parent / "tools"
        tools.mkdir()
        self.nft = tools / "nft"
        self.say("")
        monkeypatch.setattr(vhost_info, "SQUID_CONFIGS", (str(self.config),))
        monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")

    def say(self, text: str) -> None:
        kept = self.nft.parent / "rules"
        self.nft.write_text(
            f'#!/bin/sh\ncat >{kept}\necho "$@" >>{kept}\n' + (f"echo '{text}' >&2; exit 1\n" if text else "")
        )
        self.nft.chmod(0o755)


@pytest.fixture
def squid(house: House, monkeypatch: pytest.MonkeyPatch) -> SquidHouse:
    return SquidHouse(house, monkeypatch)


def test_what_squid_passes_on_for_the_domains(squid: SquidHouse) -> None:
    results = [squid.house.run(check) for check in (True, False)]
    assert results[1] == results[0]
    result = results[0]
    assert (result["server"], result["config"], result["user"]) == ("squid", str(squid.config), "root")
    assert [vhost["upstreams"] for vhost in result["vhosts"]] == [["http://127.0.0.1:8000"]]
    assert [vhost["names"] for vhost in result["others"]] == [["annex.test"]]
    assert result["domains"] == {"shop.test": [{"file": str(squid.config), "line": 3, "listen": ["80"]}]}
    assert (result["pools"], result["not_led"]) == (True, "")
    rules = (squid.nft.parent / "rules").read_text()
    assert "meta skuid 0 tcp dport 9 redirect to :9" in rules
    # Tried, never loaded.
    assert rules.endswith("--check --file -\n")


def test_a_kernel_that_leads_nothing_elsewhere_is_told(squid: SquidHouse) -> None:
    squid.say("Error: Could not process rule: Operation not permitted")
    assert squid.house.run()["not_led"] == "Error: Could not process rule: Operation not permitted"
    squid.nft.unlink()
    assert squid.house.run()["not_led"] == "nft is not installed"
    squid.config.write_text(SQUID.replace("root", "nobody-of-that-name"))
    assert squid.house.run()["not_led"] == "there is no account nobody-of-that-name, which Squid runs as"


def test_squid_comes_last_where_several_serve_the_domains(squid: SquidHouse) -> None:
    squid.house.config.write_text(MAIN)
    assert squid.house.run()["server"] == "apache"
    assert squid.house.run(server="squid")["server"] == "squid"
    assert squid.house.run(config=str(squid.config))["server"] == "squid"
