"""The site has moved: its jobs are off on the old server and on on the new one."""


def test_they_are_off_where_the_site_was(machines):
    old = machines["old"]
    assert old.run("systemctl is-active shop.timer").stdout.strip() == "inactive"
    assert not old.file("/etc/cron.d/shop").exists
    assert old.run("crontab -l -u seller").rc != 0
    assert old.check_output("cat /var/lib/cutover/shop/jobs/etc-cron.d-shop") == "0 0 1 1 * root true"


def test_they_are_on_where_it_is(machines):
    app = machines["app1"]
    assert app.check_output("systemctl is-active shop.timer") == "active"
    assert app.file("/etc/cron.d/shop").content_string == "0 0 1 1 * root true\n"
    assert "@yearly true" in app.check_output("crontab -l -u seller")
    assert app.run("ls /etc/systemd/system/shop.timer.d").stdout.strip() == ""
