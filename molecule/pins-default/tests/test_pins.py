"""One server finds the site at its new address; another did, and does no more."""


def test_the_names_lead_to_the_new_address(machines):
    app = machines["app1"]
    assert app.check_output("getent ahostsv4 www.shop.test").split()[0] == "192.0.2.7"
    assert "*" not in app.file("/etc/hosts").content_string
    assert app.check_output("getent ahostsv4 localhost").split()[0] == "127.0.0.1"


def test_what_was_taken_out_left_the_rest(machines):
    old = machines["old"]
    assert "shop.test" not in old.file("/etc/hosts").content_string
    assert "cutover" not in old.file("/etc/hosts").content_string
    assert old.check_output("getent ahostsv4 other.test").split()[0] == "192.0.2.9"
    assert old.check_output("getent ahostsv4 localhost").split()[0] == "127.0.0.1"
