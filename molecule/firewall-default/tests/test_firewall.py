"""Nothing set: no firewall at all."""


def test_nothing_was_made(host):
    assert not host.file("/etc/systemd/system/cutover-firewall.service").exists
    assert not host.file("/usr/sbin/nft").exists
