#!/bin/sh
# One difference of each kind that a later survey is to find.
set -eu
echo '5 5 * * * root /usr/local/bin/planted' >/etc/cron.d/planted
openssl req -x509 -newkey rsa:2048 -nodes -days 99 -subj /CN=shop.example -addext "subjectAltName=DNS:shop.example,DNS:*.shop.example" \
    -keyout /root/planted.key -out /etc/ssl/shop.pem 2>/dev/null
printf '[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n' >/lib/systemd/system/planted.service
systemctl enable --quiet planted.service
mariadb -e 'CREATE USER planted@localhost'
mariadb shop -e "CREATE TABLE \`set ting\` (id INT, name VARCHAR(40), value TEXT CHARACTER SET latin1, kind ENUM('x', '198.51.100.7'));
    INSERT INTO \`set ting\` VALUES (1, 'near', '198.51.100.70', 'x'), (2, 'proxy', 'http://198.51.100.7:3128', 'x')"
runuser -u postgres -- psql -q wiki <<'SQL'
CREATE SCHEMA "O'd d";
CREATE TABLE "O'd d"."T able" ("c ol" json, tags text[], host inet, n int);
INSERT INTO "O'd d"."T able" VALUES ('{"url": "https://198.51.100.7/"}', ARRAY['198.51.100.70'], '198.51.100.7', 1);
SQL
printf '[proxy]\nhost = 198.51.100.7\n' >>/srv/shop/config.ini
