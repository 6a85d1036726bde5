#!/bin/sh
# A large server: VHOSTS virtual hosts of Apache and nginx, DATABASES databases of MariaDB and PostgreSQL.
set -eu
vhosts=$1 databases=$2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d
apt-get install -y -qq --no-install-recommends apache2 nginx-light php-fpm mariadb-server postgresql cron openssl \
    iptables >/dev/null 2>&1
rm /usr/sbin/policy-rc.d
echo 'Listen 8443' >/etc/apache2/ports.conf
rm -f /etc/apache2/sites-enabled/* /etc/nginx/sites-enabled/*
a2enmod -q proxy_fcgi ssl >/dev/null
openssl req -x509 -newkey rsa:2048 -nodes -days 12 -subj /CN=bench -keyout /etc/ssl/private/bench.key \
    -out /etc/ssl/bench.pem 2>/dev/null
log=$(for n in $(seq 400); do
    echo "192.0.2.$((n % 250)) - - [01/Oct/2026:00:$((n / 60 % 60)):$((n % 60)) +0000] \"GET /$n HTTP/1.1\" 200 5 \"-\" \"x\""
done)
version=$(ls /etc/php)
for n in $(seq "$vhosts"); do
    mkdir -p "/srv/site$n/app/lib"
    socket=/run/php/site$n.sock
    cat >"/etc/php/$version/fpm/pool.d/site$n.conf" <<POOL
[site$n]
user = www-data
listen = $socket
listen.owner = www-data
pm = ondemand
pm.max_children = 1
POOL
    cp /etc/ssl/bench.pem "/etc/ssl/site$n.pem"
    printf "<?php\ndefine('DB_NAME', 'db%s');\ndefine('DB_PASSWORD', 'x');\n" $((n % databases + 1)) >"/srv/site$n/config.php"
    touch "/srv/site$n/app/lib/a.php" "/srv/site$n/app/b.php" "/srv/site$n/index.php"
    echo "$((n % 60)) 3 * * * root /srv/site$n/app/job" >"/etc/cron.d/site$n"
    if [ $((n % 2)) = 0 ]; then
        cat >"/etc/apache2/sites-enabled/site$n.conf" <<APACHE
<VirtualHost *:8443>
  ServerName site$n.example
  ServerAlias www.site$n.example
  DocumentRoot /srv/site$n
  SSLEngine on
  SSLCertificateFile /etc/ssl/site$n.pem
  SSLCertificateKeyFile /etc/ssl/private/bench.key
  CustomLog /var/log/apache2/site$n.log combined
  <FilesMatch "\.php$">
    SetHandler "proxy:unix:$socket|fcgi://localhost"
  </FilesMatch>
</VirtualHost>
APACHE
        echo "$log" >"/var/log/apache2/site$n.log"
    else
        cat >"/etc/nginx/conf.d/site$n.conf" <<NGINX
server {
    listen 443 ssl;
    server_name site$n.example www.site$n.example;
    ssl_certificate /etc/ssl/site$n.pem;
    ssl_certificate_key /etc/ssl/private/bench.key;
    root /srv/site$n;
    access_log /var/log/nginx/site$n.log;
    location ~ \.php$ { fastcgi_pass unix:$socket; }
}
NGINX
        echo "$log" >"/var/log/nginx/site$n.log"
    fi
done
systemctl restart mariadb postgresql "php$version-fpm" apache2 nginx cron
for n in $(seq 1 2 "$databases"); do
    echo "CREATE DATABASE db$n; CREATE TABLE db$n.a (id INT PRIMARY KEY); CREATE TABLE db$n.b (id INT PRIMARY KEY);"
done | mysql
for n in $(seq 2 2 "$databases"); do
    printf 'CREATE DATABASE db%s;\n\\c db%s\nCREATE TABLE a (id INT PRIMARY KEY);\n' "$n" "$n"
done | runuser -u postgres -- psql -q >/dev/null
