"""What the exporters tell, to whom, and that the rules for alerts are some."""

import pytest

CERTIFICATE = "--cacert /etc/ssl/cutover/server.pem"
CLIENT = f"{CERTIFICATE} --cert /etc/ssl/cutover/server.pem --key /etc/ssl/cutover/server.key"


@pytest.mark.parametrize(
    ("port", "told"),
    [
        (9100, 'node_systemd_unit_state{name="nginx.service",state="active",type="forking"} 1'),
        (9104, "mysql_up 1"),
        (9104, "mysql_global_variables_max_connections"),
        (9113, "nginx_up 1"),
    ],
)
def test_maria_tells_who_has_a_certificate(machines, port, told):
    assert told in machines["maria"].check_output(f"curl -sS {CLIENT} https://127.0.0.1:{port}/metrics")


@pytest.mark.parametrize("port", [9100, 9104, 9113])
def test_maria_tells_nobody_else(machines, port):
    refused = machines["maria"].run(f"curl -sS {CERTIFICATE} https://127.0.0.1:{port}/metrics")
    assert refused.rc != 0
    assert "mysql" not in refused.stdout
    plain = machines["maria"].run(f"curl -sS http://127.0.0.1:{port}/metrics")
    assert "node_" not in plain.stdout


def test_postgres_tells_on_loopback_alone(machines):
    host = machines["postgres"]
    assert "pg_up 1" in host.check_output("curl -sS http://127.0.0.1:9187/metrics")
    assert "127.0.0.1:9187" in host.check_output("ss -Hltn sport = 9187")


def test_what_is_named_no_more_is_gone(machines):
    host = machines["postgres"]
    assert not host.package("prometheus-apache-exporter").is_installed
    assert not host.file("/etc/apache2/conf-enabled/cutover-status.conf").exists
    assert host.run("curl -sS http://127.0.0.1:9146/server-status").rc != 0
    assert host.service("apache2").is_running


def test_the_accounts_see_no_rows(machines):
    grants = machines["maria"].check_output("mariadb -NBe \"SHOW GRANTS FOR 'prometheus'@'localhost'\"")
    assert "SELECT ON `performance_schema`.*" in grants
    assert "SELECT, " not in grants.splitlines()[0]
    postgres = machines["postgres"]
    roles = "SELECT rolsuper, pg_has_role('prometheus', 'pg_read_all_data', 'MEMBER') FROM pg_roles"
    told = postgres.check_output(f"runuser -u postgres -- psql -AtXc \"{roles} WHERE rolname = 'prometheus'\"")
    assert told == "f|f"


def test_the_rules_are_some(machines):
    assert "SUCCESS: 11 rules found" in machines["postgres"].check_output("promtool check rules /root/alerts.yml")
