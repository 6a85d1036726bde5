"""Everything set, on Debian 13 and 11; after the refusals and the load that failed half-way."""

import shlex

import pytest

PASSWORD = "password with 'quotes' and $"  # noqa: S105
TLS = "sslmode=verify-ca sslrootcert=/etc/ssl/cutover/server.pem"


def login(host, user, password, options, statement, address="127.0.0.1", database="ocpizza"):
    link = f"host={address} port=5433 dbname={database} user={user} {options}"
    return host.run(f"PGPASSWORD={shlex.quote(password)} psql -AtX {shlex.quote(link)} -c {shlex.quote(statement)}")


def own(host):
    return host.check_output("hostname -I").split()[0]


def ask(host, statement, database="postgres"):
    return host.check_output(f"runuser -u postgres -- psql -AtX -p 5433 {database} -c {shlex.quote(statement)}")


def test_owner_reads_over_tls(host):
    answer = login(host, "ocpizza-user", PASSWORD, TLS, "SELECT name FROM ranks WHERE id = 2", own(host))
    assert answer.stdout.strip() == "Chef de cuisine, première classe", answer.stderr


def test_owner_may_change_the_schema(host):
    answer = login(host, "ocpizza-user", PASSWORD, TLS, "BEGIN; ALTER TABLE staff ADD x INT; ROLLBACK", own(host))
    assert answer.rc == 0, answer.stderr


def test_owner_is_refused_without_tls(host):
    answer = login(host, "ocpizza-user", PASSWORD, "sslmode=disable", "SELECT 1", own(host))
    assert "no pg_hba.conf entry" in answer.stderr


def test_wrong_password_is_refused(host):
    assert "authentication failed" in login(host, "reader", "wrong", TLS, "SELECT 1").stderr


@pytest.mark.parametrize("statement", ["DELETE FROM ranks", "CREATE TABLE mine (id INT)", "DROP TABLE ranks"])
def test_reader_can_only_read(host, statement):
    assert login(host, "reader", "plain", TLS, "SELECT COUNT(*) FROM ranks").stdout.strip() == "2"
    refused = login(host, "reader", "plain", TLS, statement).stderr
    if "CREATE" in statement and host.system_info.release == "11":
        pytest.skip("PostgreSQL 13 lets everyone create in the schema public")
    assert "permission denied" in refused or "must be owner" in refused


def test_reader_stays_out_of_other_databases(host):
    assert login(host, "reader", "plain", TLS, "SELECT 1", database="second").rc


def test_passwords_are_kept_as_scram(host):
    assert ask(host, "SELECT COUNT(*) FROM pg_authid WHERE rolpassword LIKE 'SCRAM-SHA-256%'") == "3"


def test_settings_are_in_force(host):
    assert ask(host, "SHOW max_connections") == "77"
    assert ask(host, "SHOW log_line_prefix") == "%m 'quoted' "


def test_second_load_was_whole(host):
    assert ask(host, "SELECT COUNT(*) FROM ranks", "half") == "2"
    assert ask(host, "SELECT tableowner FROM pg_tables WHERE tablename = 'ranks'", "half") == "ocpizza-user"


def test_no_password_is_in_the_journal(host):
    assert PASSWORD not in host.check_output("journalctl --no-pager")


def test_an_account_may_come_from_several_places(host):
    statement = "SELECT address FROM pg_hba_file_rules WHERE user_name = '{far}' ORDER BY line_number"
    assert ask(host, statement).split() == ["203.0.113.9", "2001:db8::"]
