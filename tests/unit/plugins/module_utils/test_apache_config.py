# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import apache_config

FILES = {
    "/etc/apache2/apache2.conf": "Define up 127.0.0.1:8000\nIncludeOptional sites-enabled/*.conf\nTimeout 60\n"
    "<IfModule mpm_event_module>\nThreadsPerChild 25\n</IfModule>\nInclude gone.conf\n",
    "/etc/apache2/sites-enabled/a.conf": "# old\n<VirtualHost *:80>\n  ServerName Pizza.test:80\n"
    "  ServerAlias www.pizza.test \\\n"
    '    *.pizza.test\n  ProxyPass /static/ !\n  ProxyPass "/" "http://${up}/" retry=0\n  RewriteEngine On\n'
    "  DocumentRoot /srv/pizza\n  Alias /media/ /srv/media/\n</VirtualHost>\n"
    "<VirtualHost *:443>\n ServerName annex.test\n SSLEngine on\n <Location />\n  ProxyPass http://127.0.0.1:8001/\n"
    " </Location>\n</VirtualHost>\n",
}


def read(path):
    if path not in FILES:
        raise FileNotFoundError(2, "No such file", path)
    return FILES[path]


def expand(pattern):
    return ["/etc/apache2/sites-enabled/a.conf"] if "*" in pattern else [pattern]


def test_virtual_hosts_with_includes_variables_and_continuations():
    reader = apache_config.Reader("/etc/apache2", read, expand)
    directives = list(reader.directives("/etc/apache2/apache2.conf"))
    pizza, annex = apache_config.vhosts(directives)

    assert (pizza["file"], pizza["line"], pizza["listen"]) == ("/etc/apache2/sites-enabled/a.conf", 2, ["*:80"])
    assert pizza["names"] == ["pizza.test", "www.pizza.test", "*.pizza.test"]
    assert pizza["upstreams"] == ["http://127.0.0.1:8000/"]
    assert pizza["excluded"] == ["/static/"]
    assert (pizza["document_root"], pizza["aliases"]) == ("/srv/pizza", {"/media/": "/srv/media/"})
    assert (pizza["rewrite_engine"], pizza["tls"], annex["tls"]) == (True, False, True)
    assert annex["upstreams"] == ["http://127.0.0.1:8001/"]
    assert apache_config.serves(pizza, "SHOP.pizza.test")
    assert not apache_config.serves(annex, "pizza.test")
    assert apache_config.limits(directives) == {"timeout": "60", "threadsperchild": "25"}
    assert reader.missing == ["/etc/apache2/gone.conf: No such file"]


def test_envvars_of_debian():
    text = "unset HOME\nexport APACHE_RUN_USER=www-data\nexport APACHE_LOG_DIR=/var/log/apache2$SUFFIX\n"

    assert apache_config.env_variables(text)["APACHE_LOG_DIR"] == "/var/log/apache2"


@pytest.mark.parametrize(("values", "seconds"), [([], 5.0), (["500ms"], 0.5), (["2", "15", "x"], 15.0)])
def test_the_longest_time_that_an_idle_connection_is_kept(values: list[str], seconds: float) -> None:
    directives = [apache_config.Directive("keepalivetimeout", [value], "f", 1, []) for value in values]
    assert apache_config.keep_alive_seconds(directives) == seconds
