"""Nothing set: Debian's MariaDB on loopback, reachable by root's socket alone."""


def test_server_runs_now_and_at_boot(host):
    service = host.service("mariadb")
    assert service.is_running
    assert service.is_enabled


def test_server_listens_on_loopback_alone(host):
    listening = [line.split()[3] for line in host.check_output("ss -Hltn").splitlines()]
    assert [address for address in listening if address.endswith(":3306")] == ["127.0.0.1:3306"]


def test_nobody_but_the_system_has_an_account(host):
    accounts = host.check_output("mariadb -BNe \"SELECT user FROM mysql.user WHERE host <> 'localhost'\"")
    assert accounts == ""


def test_settings_may_be_read_but_not_written(host):
    file = host.file("/etc/mysql/mariadb.conf.d/99-cutover.cnf")
    assert (file.user, file.mode) == ("root", 0o644)
