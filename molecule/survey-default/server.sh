#!/bin/sh
# A server that nobody of us has made: Apache and nginx with includes nested three deep, virtual hosts by wildcard, two
# sites on PHP, gunicorn on a socket, uwsgi's protocol to nobody, MariaDB and PostgreSQL, jobs, a broken file.
set -eu
export DEBIAN_FRONTEND=noninteractive
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d
apt-get install -y -qq --no-install-recommends apache2 nginx-light php-fpm gunicorn mariadb-server postgresql \
    cron openssl iptables >/dev/null 2>&1
rm /usr/sbin/policy-rc.d
sed -i 's/^Listen 80$/Listen 8080/' /etc/apache2/ports.conf
rm -f /etc/apache2/sites-enabled/* /etc/nginx/sites-enabled/*
a2enmod -q proxy_fcgi setenvif >/dev/null

openssl req -x509 -newkey rsa:2048 -nodes -days 12 -subj /CN=shop.example -addext "subjectAltName=DNS:shop.example,DNS:*.shop.example" \
    -keyout /etc/ssl/private/shop.key -out /etc/ssl/shop.pem 2>/dev/null

mkdir -p /etc/nginx/one /etc/nginx/two /srv/shop /srv/blog /srv/wiki
echo 'include one/*.conf;' >/etc/nginx/conf.d/a.conf
echo 'include /etc/nginx/two/*.conf;' >/etc/nginx/one/b.conf
cat >/etc/nginx/two/shop.conf <<'NGINX'
upstream shop { server unix:/run/shop/gunicorn.sock; }
server {
    listen 443 ssl;
    server_name shop.example *.shop.example;
    ssl_certificate /etc/ssl/shop.pem;
    ssl_certificate_key /etc/ssl/private/shop.key;
    access_log /var/log/nginx/shop.log;
    location / { proxy_pass http://shop; }
    location /static/ { alias /srv/shop/static/; }
}
server { listen 80; server_name shop.example; return 301 https://$host$request_uri; }
server { listen 80; server_name old.example; return 302 https://shop:Secret-9@shop.example/?token=shop-Secret-10; }
server { listen 80; server_name lost.example; location / { uwsgi_pass 127.0.0.1:3031; } }
NGINX

mkdir -p /etc/apache2/one /etc/apache2/two
echo 'IncludeOptional one/*.conf' >/etc/apache2/sites-enabled/a.conf
echo 'Include /etc/apache2/two/blog.conf' >/etc/apache2/one/b.conf
cat >/etc/apache2/two/blog.conf <<APACHE
<VirtualHost *:8080>
  ServerName blog.example
  ServerAlias *.blog.example
  DocumentRoot /srv/blog
  CustomLog \${APACHE_LOG_DIR}/blog.log combined
  SetEnv SMTP_PASSWORD blog-Secret-14
  <FilesMatch "\.php$">
    SetHandler "proxy:unix:$(ls /etc/php/*/fpm/pool.d/www.conf | sed 's,/etc/php/\(.*\)/fpm.*,/run/php/php\1-fpm.sock,')|fcgi://localhost"
  </FilesMatch>
</VirtualHost>
<VirtualHost *:8080>
  ServerName wiki.example
  DocumentRoot /srv/wiki
  <FilesMatch "\.php$">
    SetHandler "proxy:unix:/run/php/wiki.sock|fcgi://localhost"
  </FilesMatch>
</VirtualHost>
APACHE
cat >/srv/blog/wp-config.php <<'PHP'
<?php
define('DB_NAME', 'blog');
define('DB_PASSWORD', 'blog-Secret-1');
PHP
printf "<?php\n\$wgDBname = 'x';\n" >/srv/wiki/index.php
echo 'DATABASE_URL=postgresql://wiki:wiki-Secret-2@127.0.0.1/wiki' >/srv/wiki/.env
version=$(ls /etc/php)
printf '[wiki]\nuser = www-data\ngroup = www-data\nlisten = /run/php/$pool.sock\nlisten.owner = www-data\npm = static\npm.max_children = 1\nchdir = /srv/wiki\n' >"/etc/php/$version/fpm/pool.d/wiki.conf"

useradd --system --create-home --home-dir /srv/shop --shell /bin/bash shop 2>/dev/null || true
mkdir -p /srv/shop/static
printf '[mail]\nsmtp_password = shop-Secret-12\n' >/srv/shop/config.ini
printf '{"stripe": {\n  "api_key": "shop-Secret-13"\n}}\n' >/srv/shop/config.json
printf 'def application(environ, start):\n    start("200 OK", [])\n    return [b"shop"]\n' >/srv/shop/shop.py
cat >/etc/systemd/system/shop.service <<'UNIT'
[Service]
User=shop
RuntimeDirectory=shop
WorkingDirectory=/srv/shop
Environment=DATABASE_NAME=shop DATABASE_USER=shop SECRET_KEY=shop-Secret-3 DATABASE_PASSWORD=shop-Secret-4
ExecStart=/usr/bin/gunicorn --bind unix:/run/shop/gunicorn.sock --workers 2 --threads 4 shop:application
[Install]
WantedBy=multi-user.target
UNIT
cat >/etc/cron.d/shop <<'CRON'
MAILTO=root
15 3 * * * root mysqldump -pcron-Secret-5 shop >/var/backups/shop.sql
*/10 * * * * shop /srv/shop/bin/invoices
0 * * * * shop wget -q -O- 'https://shop.example/cron?key=shop-Secret-6'
30 2 * * * root PGPASSWORD='wiki Secret-7' sh -c "pg_dump --db-password Secret-8 wiki | gzip" > /var/backups/wiki.gz
61 * * * * root /bin/true
CRON
echo 'AddDefaultCharset utf-8' >>/etc/apache2/conf-available/charset.conf
systemctl daemon-reload
systemctl restart mariadb postgresql "php$version-fpm" shop apache2 nginx cron
mariadb -e "CREATE DATABASE shop; CREATE DATABASE blog; CREATE TABLE shop.pizza (id INT PRIMARY KEY);
    CREATE USER shop@localhost IDENTIFIED BY 'shop-Secret-4'; GRANT ALL ON shop.* TO shop@localhost"
runuser -u postgres -- createdb wiki
# nginx has read it before it broke.
echo 'server { listen 80; server_name torn.example;' >/etc/nginx/two/torn.conf
printf '192.0.2.7 - - [01/Jan/2026:00:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "x"\n' >/var/log/nginx/shop.log
