"""Which folders of files would be left behind."""

from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import findings_media

MEDIA = {"source": "/srv/shop/media", "target": "/srv/media"}


def found(aliases: dict[str, str], media: list[dict[str, str]]) -> list[Any]:
    facts = {"site": {"media": media}, "source": {"web": {"vhosts": [{"aliases": aliases}]}}}
    return list(findings_media.decide(facts))


@pytest.mark.parametrize(
    ("aliases", "media"),
    [
        ({}, []),
        ({"/static/": "/srv/shop/static/", "/.well-known/acme-challenge/": "/var/www/acme"}, []),
        ({"/media/": "/srv/shop/media/"}, [MEDIA]),
        ({"/media/thumbs": "/srv/shop/media/thumbs"}, [MEDIA]),
    ],
)
def test_nothing_is_left(aliases: dict[str, str], media: list[dict[str, str]]) -> None:
    assert found(aliases, media) == []


def test_uploads_forbid_going_on() -> None:
    (one,) = found({"/media/": "/srv/shop/media2/", "/uploads": "/srv/up"}, [MEDIA])
    assert (one.key, one.severity) == ("media.left", "inhibitor")
    assert one.reason == (
        "The source's web server gives out /media/ from /srv/shop/media2/, /uploads from /srv/up, which site_media "
        "does not name."
    )
    assert one.remedy == "Name its folder, and the one on the target, in site_media."


def test_what_may_be_uploads_is_a_warning() -> None:
    (one,) = found({"/pictures/": "/srv/pictures/"}, [])
    assert (one.key, one.severity) == ("media.perhaps_left", "warning")
    assert one.reason == "The source's web server gives out /pictures/ from /srv/pictures/."
    assert one.remedy.startswith("Name its folder in site_media where the site's users or jobs write there;")
