"""What the survey has found on the server of server.sh, and that it left that as it was."""

import gzip
import json
import os
import tarfile
from pathlib import Path

import pytest
import yaml

FOLDER = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "survey"
REPORT = json.loads((FOLDER / "report.json").read_text(encoding="utf-8"))


def application(name):
    site = next(one for one in REPORT["sites"] if name in one["names"] and one["applications"])
    return REPORT["applications"][site["applications"][0]]


def test_the_server_is_as_it_was(host):
    # Taken after the survey, before anything was planted.
    assert host.file("/root/fingerprint.after").content_string == host.file("/root/fingerprint").content_string
    assert len(host.file("/root/fingerprint").content_string.splitlines()) == 6


def test_it_is_quick(host):
    print(f"the server was read in {REPORT['seconds']} s")
    assert REPORT["seconds"] < 20


def test_no_secret_is_in_what_was_written(host):
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert len(files) == 10
    contents = {
        path: gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes() for path in files
    }
    assert [path for path, content in contents.items() if b"Secret-" in content] == []


def test_release_and_packages(host):
    packages = REPORT["packages"]
    assert REPORT["system"]["release"]["end_of_life"] == "2026-08-31"
    assert "/etc/apache2/conf-available/charset.conf" in packages["changed"]
    assert "/etc/cron.d/shop" in packages["own"]
    assert not [path for path in packages["own"] if path.startswith("/etc/php/7.4/mods-available/")]
    assert "nginx-light" in packages["installed"]
    assert "nginx-light" not in packages["foreign"]


def test_virtual_hosts_with_includes_three_deep(host):
    names = {tuple(one["names"]): one for one in REPORT["vhosts"]}
    shop = names["shop.example", "*.shop.example"]
    assert (shop["file"], shop["tls"]) == ("/etc/nginx/two/shop.conf", True)
    assert shop["certificate"]["names"] == ["shop.example", "*.shop.example"]
    assert names["blog.example", "*.blog.example"]["logs"] == ["/var/log/apache2/blog.log"]
    assert names["old.example",]["redirects"][0]["to"] == "https://…@shop.example/?token=…"
    assert ("torn.example",) in names


def test_gunicorn_on_a_socket_with_its_database_and_jobs(host):
    shop = application("shop.example")
    assert [shop[key] for key in ("kind", "user", "unit", "folder", "listens")] == [
        "gunicorn",
        "shop",
        "shop.service",
        "/srv/shop",
        "/run/shop/gunicorn.sock",
    ]
    assert shop["databases"] == [{"engine": "mariadb", "name": "shop"}]
    assert shop["jobs"] == ["/etc/cron.d/shop:2", "/etc/cron.d/shop:3", "/etc/cron.d/shop:4"]
    where = f"environment of process {shop['pid']} (shop.service)"
    assert shop["secrets"] == [
        f"{where}: DATABASE_PASSWORD",
        f"{where}: SECRET_KEY",
        "/srv/shop/config.ini:2: smtp_password",
        "/srv/shop/config.json:2: api_key",
    ]


def test_two_sites_on_php_and_their_databases_side_by_side(host):
    blog, wiki = application("blog.example"), application("wiki.example")
    assert [(one["kind"], one["name"]) for one in (blog, wiki)] == [
        ("php-fpm", "php-fpm www"),
        ("php-fpm", "php-fpm wiki"),
    ]
    assert blog["databases"] == [{"engine": "mariadb", "name": "blog"}]
    assert wiki["databases"] == [{"engine": "postgresql", "name": "wiki"}]
    assert blog["secrets"] == ["/etc/apache2/two/blog.conf:6: SMTP_PASSWORD", "/srv/blog/wp-config.php:3: DB_PASSWORD"]
    assert wiki["secrets"] == ["/srv/wiki/.env:1: DATABASE_URL"]


def test_database_servers(host):
    servers = {one["engine"]: one for one in REPORT["databases"]}
    shop = next(one for one in servers["mariadb"]["databases"] if one["name"] == "shop")
    assert (shop["tables"], shop["charset"], shop["bytes"] > 0) == (1, "utf8mb4", True)
    assert "shop@localhost" in servers["mariadb"]["accounts"]
    assert servers["postgresql"]["version"].startswith("13")
    assert [(one["name"], one["tables"]) for one in servers["postgresql"]["databases"]] == [("wiki", 0)]


def test_jobs_dumps_and_timers(host):
    jobs = {one["source"]: one for one in REPORT["jobs"]}
    assert jobs["/etc/cron.d/shop:2"]["next"].endswith("T03:15:00")
    assert [number for number in range(2, 7) if jobs.get(f"/etc/cron.d/shop:{number}", {}).get("dump")] == [2, 5]
    assert jobs["systemd-tmpfiles-clean.timer"]["next"]
    assert jobs["/etc/cron.daily/dpkg"]["next"]


def test_who_listens(host):
    listening = REPORT["system"]["listening"]
    owners = {(one["protocol"], one["address"]): one["name"] for one in listening}
    assert owners["unix", "/run/shop/gunicorn.sock"] == "gunicorn"
    assert {(one["port"], one["name"]) for one in listening} >= {(80, "nginx"), (8080, "apache2")}


def test_who_is_not_used(host):
    unused = {one["names"][0]: one["since"] for one in REPORT["unused"]}
    assert unused == {"shop.example": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    "text",
    [
        "/etc/nginx/two/torn.conf: it ends within what begins at /etc/nginx/two/torn.conf:1",
        "/etc/cron.d/shop:6: what stands for its minute is none",
        "what is behind 127.0.0.1:3031: nobody is seen to listen there",
        "when wiki.example (/etc/apache2/two/blog.conf:11) was last used",
    ],
)
def test_what_could_not_be_read_is_listed(host, text):
    assert [one for one in REPORT["not_read"] if one.startswith(text)]
    assert text in (FOLDER / "report.html").read_text(encoding="utf-8")


def test_the_report_needs_nothing_but_itself(host):
    page = (FOLDER / "report.html").read_text(encoding="utf-8")
    assert not [text for text in ("src=", "<link", "<script", "@import", "url(") if text in page]


def test_the_code_without_what_is_secret(host):
    with tarfile.open(FOLDER / "sites" / "shop" / "files" / "code.tar.gz") as archive:
        assert archive.getnames() == ["shop.py"]
    (shop,) = REPORT["drafts"]["sites"]
    assert {
        "/srv/shop/config.ini: add it to files/code.tar.gz, it holds secrets",
        "/srv/shop/config.json: add it to files/code.tar.gz, it holds secrets",
        "gunicorn_requirements: no file and no virtual environment says what it needs",
        "/static/: /srv/shop/static has no file that can be read",
    } < set(shop["open"])


def test_what_was_planted_since(host):
    """A cron job, a certificate, an account, a unit and a file of /etc, each told once."""
    later = json.loads((FOLDER.parent / "later" / "report.json").read_text(encoding="utf-8"))
    told = [" ".join((one["what"], one["kind"], one["text"])) for one in later["since"]["changes"]]
    assert later["since"]["read"] == REPORT["read"]
    assert [
        text for text in told if not text.startswith("changed virtual host nginx shop.example *.shop.example on ")
    ] == [
        "new file /etc/cron.d/planted",
        "changed file /etc/ssl/shop.pem",
        "new unit planted.service",
        "new account mariadb planted@localhost",
        "new job /etc/cron.d/planted 5 5 * * * root /usr/local/bin/planted",
    ]
    (certificate,) = (text for text in told if text.startswith("changed virtual host nginx"))
    assert certificate.count("certificate: expires ") == 1
    assert "planted@localhost" in (FOLDER.parent / "later" / "report.html").read_text(encoding="utf-8")


def test_the_drafted_inventory(host):
    folder = FOLDER / "sites" / "shop"
    site, database, application_ = (
        yaml.safe_load((folder / "group_vars" / name).read_text(encoding="utf-8"))
        for name in ("all/site.yml", "database/mysql.yml", "application.yml")
    )
    assert (site["site_name"], site["site_domains"], site["site_engines"]) == (
        "shop",
        ["shop.example"],
        {"mariadb": ["shop"]},
    )
    assert database["database_account"]["name"] == "shop"
    assert application_["gunicorn_secrets"] == {
        "DATABASE_PASSWORD": "{{ secret_database_password }}",
        "SECRET_KEY": "{{ secret_secret_key }}",
    }
    assert [application_[f"gunicorn_{name}"] for name in ("wsgi", "workers", "threads")] == ["shop:application", 2, 4]
    assert (site["site_web_server"], site["site_upstream"]) == ("nginx", "unix:/run/shop/gunicorn.sock")
    reasons = {one["name"]: one["reason"] for one in REPORT["drafts"]["others"]}
    assert reasons["php-fpm wiki"] == "migrate.yml moves applications on gunicorn; this is php-fpm"
