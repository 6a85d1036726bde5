# What a reading must not touch: files with their times and modes, packages, units, what is in the databases.
find /etc /var/lib/dpkg /var/spool /srv -xdev ! -type d -printf '%p %s %T@ %m %u\n' | sort | sha256sum
find /etc /srv -xdev -type f -exec sha256sum {} + | sort | sha256sum
dpkg-query -W | sha256sum
systemctl list-units --all --plain --no-legend --type service | awk '{print $1, $3, $4}' | sort | sha256sum
mysqldump --all-databases --skip-dump-date | sha256sum
runuser -u postgres -- pg_dumpall | grep -v restrict | sha256sum
