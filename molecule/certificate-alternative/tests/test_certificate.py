import re


def text_of(host):
    return host.check_output("openssl x509 -noout -text -in /etc/ssl/shop/shop.pem")


def test_the_certificate_is_for_every_name(host):
    text = text_of(host)
    assert "DNS:shop.test, IP Address:192.0.2.7, IP Address:2001:DB8:0:0:0:0:0:7" in text
    assert "prime256v1" in text


def test_it_signs_itself_for_as_long_as_told(host):
    text = text_of(host)
    assert re.search(r"Issuer: CN ?= ?shop.test", text)
    assert host.run("openssl x509 -noout -checkend %s -in /etc/ssl/shop/shop.pem", str(89 * 86400)).rc == 0
    assert host.run("openssl x509 -noout -checkend %s -in /etc/ssl/shop/shop.pem", str(91 * 86400)).rc == 1


def test_the_key_belongs_to_the_group(host):
    key = host.file("/etc/ssl/shop/shop.key")
    assert (key.user, key.group, key.mode) == ("root", "keys", 0o640)


def test_given_files_are_taken_with_their_chain(machines):
    content = machines["given"].file("/etc/ssl/shop/shop.pem").content_string
    assert content.count("BEGIN CERTIFICATE") == 2
    assert machines["given"].file("/etc/ssl/shop/ca.pem").exists
