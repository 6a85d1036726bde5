#!/bin/sh
# One difference of each kind that a later survey is to find.
set -eu
echo '5 5 * * * root /usr/local/bin/planted' >/etc/cron.d/planted
openssl req -x509 -newkey rsa:2048 -nodes -days 99 -subj /CN=shop.example -addext "subjectAltName=DNS:shop.example,DNS:*.shop.example" \
    -keyout /root/planted.key -out /etc/ssl/shop.pem 2>/dev/null
printf '[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n' >/usr/lib/systemd/system/planted.service
systemctl enable --quiet planted.service
mariadb -e 'CREATE USER planted@localhost'
