"""After the way there and back, and its removal, the zone is as it was."""


def test_the_records_have_their_address_and_lifetime_again(machines):
    old = machines["old"].interface("eth0").addresses[0]
    told = machines["names"].check_output(
        "dig +noall +answer @127.0.0.1 shop.test A www.shop.test A www.shop.test AAAA"
    )
    assert [line.split() for line in told.splitlines()] == [
        ["shop.test.", "600", "IN", "A", old],
        ["www.shop.test.", "600", "IN", "A", old],
    ]


def test_nothing_is_left_on_the_source(machines):
    assert not machines["old"].file("/var/lib/cutover/my-shop/way.json").exists
