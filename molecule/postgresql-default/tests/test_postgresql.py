"""Nothing set: Debian's PostgreSQL on loopback, with no account but its own."""


def test_server_runs(host):
    assert host.check_output("runuser -u postgres -- psql -AtXc 'SELECT 1'") == "1"


def test_server_listens_on_loopback_alone(host):
    listening = [line.split()[3] for line in host.check_output("ss -Hltn").splitlines()]
    assert [address for address in listening if address.endswith(":5432")] == ["127.0.0.1:5432"]


def test_nobody_may_come_over_the_network(host):
    rules = host.file("/etc/postgresql").exists and host.check_output("cat /etc/postgresql/*/main/pg_hba.conf")
    assert not [line for line in rules.splitlines() if line.startswith("host")]
