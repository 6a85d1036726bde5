#!/bin/sh
# Makes the lab's base images, cutover-lab:SUITE, for the Debian suites named as arguments.
# Pulled where a registry answers, else made with mmdebstrap. An image that is there is kept.
set -eu

client=/usr/bin/docker
[ -x "$client" ] || client=docker
repository=cutover-lab
packages=systemd,systemd-sysv,dbus,python3,python3-apt,ca-certificates,openssh-server,iproute2,sudo,procps

fail() {
    echo "images: $1" >&2
    exit 1
}

finish='RUN rm -f /etc/ssh/ssh_host_* /etc/machine-id && touch /etc/machine-id \
 && systemctl mask systemd-resolved.service systemd-networkd.service systemd-udevd.service \
    systemd-logind.service getty.target console-getty.service apt-daily.timer apt-daily-upgrade.timer \
    e2scrub_all.timer fstrim.timer systemd-firstboot.service >/dev/null 2>&1; true
STOPSIGNAL SIGRTMIN+3
LABEL ocpizza.cutover=lab
CMD ["/lib/systemd/systemd", "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"]'

from_registry() {
    timeout 60 "$client" pull -q "debian:$1-slim" >/dev/null 2>&1 || return 1
    printf '%s\n' "FROM debian:$1-slim" \
        "RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
         $(echo "$packages" | tr ',' ' ') >/dev/null" "$finish" |
        "$client" build -q -t "$repository:$1" - >/dev/null
}

from_mmdebstrap() {
    command -v mmdebstrap >/dev/null 2>&1 || apt-get install -y -qq --no-install-recommends mmdebstrap >/dev/null ||
        fail "no registry answers and mmdebstrap is not installed; run 'apt-get install mmdebstrap' as root"
    # An unsupported suite is frozen: its Release file has expired and is still the right one.
    mmdebstrap --quiet --variant=minbase --include="$packages" \
        --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Apt::Install-Recommends "false"' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' "$1" - |
        "$client" import - "$repository-base:$1" >/dev/null || fail "mmdebstrap $1 failed"
    printf '%s\n' "FROM $repository-base:$1" "$finish" | "$client" build -q -t "$repository:$1" - >/dev/null
}

for suite in "$@"; do
    if "$client" image inspect "$repository:$suite" >/dev/null 2>&1; then
        continue
    fi
    echo "images: making $repository:$suite" >&2
    from_registry "$suite" || from_mmdebstrap "$suite"
done
