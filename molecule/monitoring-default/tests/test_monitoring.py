"""Nothing named: no exporter at all."""


def test_nothing_was_made(host):
    assert host.check_output("dpkg-query -W -f '${Package}\\n' 'prometheus*' 2>/dev/null || true") == ""
    assert not host.file("/etc/prometheus").exists
