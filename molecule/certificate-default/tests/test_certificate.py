def test_both_certificates_come_from_one_authority(host, machines):
    name = host.check_output("hostname")
    assert host.check_output(
        "openssl verify -CAfile /etc/ssl/cutover/ca.pem -purpose sslserver -verify_hostname %s /etc/ssl/cutover/%s.pem",
        name,
        name,
    ).endswith("OK")
    authorities = {machine.file("/etc/ssl/cutover/ca.pem").content for machine in machines.values()}
    assert len(authorities) == 1


def test_the_key_fits_and_is_private(host):
    path = "/etc/ssl/cutover/" + host.check_output("hostname")
    key = host.file(path + ".key")
    assert (key.user, key.group, key.mode) == ("root", "ssl-cert", 0o640)
    assert host.check_output("openssl pkey -pubout -in %s.key", path) == host.check_output(
        "openssl x509 -pubkey -noout -in %s.pem", path
    )


def test_the_authority_s_key_stays_away(host):
    assert host.run("ls /etc/ssl/cutover").stdout.split() == sorted(
        ["ca.pem", host.check_output("hostname") + ".key", host.check_output("hostname") + ".pem"]
    )
