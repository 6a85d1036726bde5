# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every shape in which a secret stands in a command or an address that we know of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ocpizza.cutover.plugins.module_utils import redaction

SECRETS = [
    "mysqldump -pcheese shop",
    "mysqldump -psecret-cheese shop",
    "mysqldump -pcheese-token shop",
    "mysqldump -u root -p'cheese cake' shop",
    "mysqldump --password=cheese shop",
    "mysqldump --password='my cheese' shop",
    "x --db-password cheese y",
    "x --db_passwd cheese y",
    "x -password cheese y",
    "x --api-key cheese",
    "x --client-secret=cheese",
    "x --auth-token cheese",
    "MYSQL_PWD=cheese mysqldump shop",
    "PGPASSWORD='a cheese' pg_dump shop",
    "env SECRET_KEY=cheese x",
    "sh -c 'mysqldump -pcheese shop | gzip'",
    'bash -c "x --password cheese"',
    "sh -c 'sh -c \"x --password cheese\"'",
    "curl -u shop:cheese https://a.example/",
    "curl -ushop:cheese https://a.example/",
    "curl --user shop:cheese https://a.example/",
    "curl -H 'Authorization: Bearer cheese' https://a.example/",
    "curl -H 'X-Api-Key: cheese' https://a.example/",
    "curl -H Authorization: Bearer cheese",
    "curl -d user=a -d cheese=b https://a.example/",
    "curl -b session=cheese https://a.example/",
    "wget -q -O- 'https://a.example/cron.php?cron_key=cheese'",
    "wget -q -O- https://a.example/cron?k=cheese",
    "curl https://hooks.example/services/T0A1B2C3D4/B0/cheese9x8y7z6w5v4u3t2s1r",
    "curl https://ping.example/1b4cheese-aaaa-bbbb-cccc-0123456789ab",
    "psql postgres://shop:cheese@db/shop",
    "psql postgres://shop:che/cheese@db/shop",
    "psql postgres://shop:p@cheese@db/shop",
    "redis-cli -u redis://:cheese@127.0.0.1/0",
    "git clone https://cheese@git.example/shop",
    "redis-cli -a cheese ping",
    "ldapsearch -D cn=admin -w cheese",
    "mongodump -p cheese",
    "mongodump -pcheese",
    "sshpass -p cheese ssh a",
    "sshpass -pcheese ssh a",
    "zip -P cheese a.zip a",
    "7z a -pcheese a.7z a",
    "smbclient //a/b -U shop%cheese",
    "lftp -u shop,cheese a.example",
    "snmpget -v2c -c cheese a",
    "mount -t cifs -o username=shop,password=cheese //a/b /c",
    "htpasswd -b /etc/x shop cheese",
    "echo shop:cheese | chpasswd",
    "openssl enc -pass pass:cheese -in a",
    "gpg --batch --passphrase cheese -c a",
    "java -Dspring.datasource.password=cheese -jar a.jar",
    'php -r \'$config["password"] = "cheese";\'',
    'x \'{"password": "cheese"}\'',
    "x --password='cheese",
    "x --header=cookie:cheese",
    "s3cmd --secret_key=cheese --access_key=cheese sync a b",
    "sudo -u shop DB_PASS=cheese ./x",
    "ssh a 'mysqldump -pcheese shop'",
    "x postgresql://a:b@c/d?password=cheese",
    "x 'host=a password=cheese dbname=b'",
]


@pytest.mark.parametrize("line", SECRETS)
def test_no_command_shows_a_secret(line: str) -> None:
    assert "cheese" not in redaction.command(redaction.split(line))


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("mysqldump -pcheese -P 3306 -h db shop", "mysqldump -p… -P 3306 -h db shop"),
        ("psql postgres://shop:cheese@db/shop", "psql postgres://…@db/shop"),
        ("x --db-password cheese y", "x --db-password … y"),
        ("/usr/bin/gunicorn --workers 3 --bind unix:/run/shop.sock shop.wsgi:application", None),
        ("/srv/shop/bin/manage.py clearsessions --days 30 > /dev/null 2>&1", None),
        ("rsync -a /srv/shop/media backup.example:/srv/backup/shop", None),
    ],
)
def test_the_rest_is_shown(line: str, shown: str | None) -> None:
    assert redaction.command(redaction.split(line)) == (shown or line)


def test_addresses_lose_their_secrets_wherever_they_are() -> None:
    found = {
        "redirects": [{"to": "https://a.example/?token=cheese&x=1"}],
        "proxies": ("http://shop:cheese@127.0.0.1:8000/",),
        "source": "https://cheese@packages.example/debian",
        "number": 3,
        "names": ["shop.example", "git@host:path"],
    }
    assert redaction.everything(found) == {
        "redirects": [{"to": "https://a.example/?token=…&x=…"}],
        "proxies": ["http://…@127.0.0.1:8000/"],
        "source": "https://…@packages.example/debian",
        "number": 3,
        "names": ["shop.example", "git@host:path"],
    }


@given(st.text())
def test_no_command_is_too_odd(line: str) -> None:
    redaction.command(redaction.split(line))
    redaction.command(line.split())
    redaction.text(line)


SECRET = st.text("abcdefghijklmnopqrstuvwxyzABCDEF0123456789!#%+,./:;=?@^_~-", min_size=6).map(
    lambda text: f"cheese{text}-token"
)


@given(SECRET, st.sampled_from(["--password={0}", "--db-password|{0}", "-p{0}", "X_TOKEN={0}", "redis://:{0}@db/1"]))
def test_whatever_letters_a_secret_has(secret: str, shape: str) -> None:
    words = shape.format(secret).split("|")
    assert "cheese" not in redaction.command(["mysqldump", *words, "shop"])
