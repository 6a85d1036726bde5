"""Everything set, on MariaDB and on MySQL; after the refusals and the loads that failed half-way."""

import shlex

import pytest

PASSWORD = "password with 'quotes' and $"  # noqa: S105
LOGIN = """
import pymysql, socket, sys
address, user, password, tls, statement = sys.argv[1:]
if address == "own":
    address = socket.gethostbyname(socket.gethostname())
ssl = {"ca": "/etc/ssl/cutover/server.pem", "check_hostname": False} if tls == "tls" else None
connection = pymysql.connect(host=address, port=3307, user=user, password=password, database="ocpizza", ssl=ssl,
                             ssl_disabled=tls != "tls")
cursor = connection.cursor()
cursor.execute(statement)
print(cursor.fetchall())
"""


def login(host, address, user, password, tls, statement):
    return host.run(
        f"python3 -c {shlex.quote(LOGIN)} " + " ".join(map(shlex.quote, [address, user, password, tls, statement]))
    )


def ask(host, statement):
    return host.check_output(f"mysql -BN -e {shlex.quote(statement)} 2>/dev/null")


def test_server_listens_where_it_was_told(host):
    assert host.socket("tcp://0.0.0.0:3307").is_listening


def test_user_reads_over_tls(host):
    answer = login(host, "own", "ocpizza-user", PASSWORD, "tls", "SELECT name FROM ranks ORDER BY id")
    assert "Chef de cuisine, première classe" in answer.stdout, answer.stderr


def test_user_is_refused_without_tls(host):
    answer = login(host, "own", "ocpizza-user", PASSWORD, "plain", "SELECT 1")
    assert answer.rc
    assert "1045" in answer.stderr or "secure" in answer.stderr


def test_wrong_password_is_refused(host):
    assert "1045" in login(host, "own", "ocpizza-user", "wrong", "tls", "SELECT 1").stderr


@pytest.mark.parametrize("statement", ["DELETE FROM ranks", "DROP TABLE ranks", "SELECT * FROM mysql.user"])
def test_reader_can_only_read(host, statement):
    assert login(host, "127.0.0.1", "reader", "plain", "tls", "SELECT * FROM ranks").rc == 0
    assert "denied" in login(host, "127.0.0.1", "reader", "plain", "tls", statement).stderr


def test_databases_have_their_character_set(host):
    sets = ask(host, "SELECT default_character_set_name, default_collation_name FROM information_schema.schemata "
                     "WHERE schema_name IN ('ocpizza', 'old-site') ORDER BY schema_name")  # fmt: skip
    assert sets.split() == ["utf8mb4", "utf8mb4_general_ci", "latin1", "latin1_swedish_ci"]


def test_archive_was_loaded_once(host):
    assert ask(host, "SELECT COUNT(*) FROM ocpizza.ranks") == "2"


def test_interrupted_load_was_begun_again(host):
    assert ask(host, "SELECT COUNT(*) FROM half.ranks") == "2"
    assert '"loaded"' in host.file("/var/lib/cutover/mysql/half.load").content_string


def test_shell_was_never_reached(host):
    assert not host.file("/root/escaped").exists


def test_settings_are_in_force(host):
    assert ask(host, "SELECT @@max_connections, @@skip_name_resolve").split() == ["77", "1"]


def test_empty_and_quoted_settings_arrive(machines):
    assert ask(machines["maria"], "SELECT CONCAT('<', @@character_set_collations, '>')") == "<>"
    assert ask(machines["maria"], "SELECT @@init_connect") == "SET @a = 'quoted \"twice\"'"


def test_key_is_read_through_its_group(host):
    assert "ssl-cert" in host.user("mysql").groups


def test_what_was_loaded_is_for_root_alone(host):
    assert host.file("/var/lib/cutover/mysql").mode == 0o700
    assert host.file("/var/lib/cutover/mysql/ocpizza.zip").mode == 0o600


def test_no_password_is_in_the_journal(host):
    assert PASSWORD not in host.check_output("journalctl --no-pager")
