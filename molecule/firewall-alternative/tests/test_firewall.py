"""Everything set: who comes through is seen by knocking, from a friend and from the other machine."""

import pytest

KNOCK = "python3 -c \"import socket; socket.create_connection(('{address}', {port}), 1)\""


def knock(visitor, host, port):
    address = host.check_output("hostname -I").split()[0]
    return visitor.run(KNOCK.format(address=address, port=port)).rc == 0


@pytest.fixture(params=["web", "old"])
def guarded(request, machines):
    return machines[request.param]


@pytest.fixture
def stranger(machines, guarded):
    return machines["old" if guarded is machines["web"] else "web"]


@pytest.mark.parametrize("port", [22, 443, 8010])
def test_everyone_comes_in(guarded, stranger, port):
    if port == 22:
        guarded.run("systemctl start ssh")
    assert knock(stranger, guarded, port)


def test_only_the_friend_reaches_the_database(machines, guarded, stranger):
    assert knock(machines["friend"], guarded, 3306)
    assert not knock(stranger, guarded, 3306)


def test_nothing_else_comes_in(machines, guarded):
    assert guarded.socket("tcp://0.0.0.0:8011").is_listening
    assert not knock(machines["friend"], guarded, 8011)


def test_host_reaches_itself(guarded):
    assert guarded.run(KNOCK.format(address="127.0.0.1", port=8011)).rc == 0


def test_others_keep_their_tables(guarded):
    assert "chain kept" in guarded.check_output("nft list table inet others")


def test_rules_come_back_at_boot(guarded):
    assert guarded.service("cutover-firewall").is_enabled
    guarded.check_output("systemctl restart cutover-firewall")
    assert "tcp dport 22 accept" in guarded.check_output("nft list table inet cutover")
    guarded.check_output("systemctl stop cutover-firewall")
    assert guarded.check_output("nft list tables") == "table inet others"
    guarded.check_output("systemctl start cutover-firewall")
