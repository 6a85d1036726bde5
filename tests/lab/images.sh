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

# The image carries no host keys and no machine id: each machine makes its own at its first boot.
finish='RUN rm -f /etc/ssh/ssh_host_* /etc/machine-id && touch /etc/machine-id \
 && printf "%s\n" "[Unit]" "Description=Make this machine own ssh host keys" \
    "ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key" "Before=ssh.service" \
    "[Service]" "Type=oneshot" "RemainAfterExit=yes" "ExecStart=/usr/bin/ssh-keygen -A" \
    "[Install]" "WantedBy=multi-user.target" >/etc/systemd/system/lab-host-keys.service \
 && systemctl enable lab-host-keys.service ssh.service >/dev/null 2>&1 \
 && useradd --create-home --shell /bin/bash admin && usermod --password "*" admin \
 && install -d -o admin -g admin -m 0700 /home/admin/.ssh \
 && echo "admin ALL=(ALL) NOPASSWD: ALL" >/etc/sudoers.d/admin && chmod 0440 /etc/sudoers.d/admin
RUN systemctl mask systemd-resolved.service systemd-networkd.service systemd-udevd.service \
    systemd-logind.service getty.target console-getty.service apt-daily.timer apt-daily-upgrade.timer \
    e2scrub_all.timer fstrim.timer systemd-firstboot.service >/dev/null 2>&1; true
RUN apt-get update -qq
STOPSIGNAL SIGRTMIN+3
LABEL ocpizza.cutover=lab
CMD ["/lib/systemd/systemd", "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"]'
recipe=$(printf '%s' "$packages$finish" | cksum | cut -d ' ' -f 1)

from_registry() {
    timeout 60 "$client" pull -q "debian:$1-slim" >/dev/null 2>&1 || return 1
    printf '%s\n' "FROM debian:$1-slim" \
        "RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
         $(echo "$packages" | tr ',' ' ') >/dev/null" "$finish" |
        "$client" build -q --label "ocpizza.cutover.recipe=$recipe" -t "$repository:$1" - >/dev/null
}

base_from_mmdebstrap() {
    # An unsupported suite is frozen: its Release file has expired and is still the right one.
    mmdebstrap --quiet --variant=minbase --hook-dir=/usr/share/mmdebstrap/hooks/maybe-merged-usr --include="$packages" \
        --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Apt::Install-Recommends "false"' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' "$1" - |
        "$client" import --change 'LABEL ocpizza.cutover=lab' --change "LABEL ocpizza.cutover.packages=$packages" \
            - "$repository-base:$1" >/dev/null || fail "mmdebstrap $1 failed"
}

from_mmdebstrap() {
    label "$repository-base:$1" ocpizza.cutover.packages | grep -qxF "$packages" || base_from_mmdebstrap "$1"
    printf '%s\n' "FROM $repository-base:$1" "$finish" |
        "$client" build -q --label "ocpizza.cutover.recipe=$recipe" -t "$repository:$1" - >/dev/null
}

label() {
    "$client" image inspect --format "{{ index .Config.Labels \"$2\" }}" "$1" 2>/dev/null || true
}

make_image() {
    from_registry "$1" || from_mmdebstrap "$1"
}

missing=
for suite in "$@"; do
    [ "$(label "$repository:$suite" ocpizza.cutover.recipe)" = "$recipe" ] || missing="$missing $suite"
done
[ -n "$missing" ] || exit 0

if ! command -v mmdebstrap >/dev/null 2>&1; then
    [ "$(id -u)" -eq 0 ] && apt-get install -y -qq --no-install-recommends mmdebstrap >/dev/null ||
        echo "images: mmdebstrap is not installed; without it images come from a registry only" >&2
fi

# One process a suite: they wait for the mirror more than for the processor.
jobs=
for suite in $missing; do
    echo "images: making $repository:$suite" >&2
    make_image "$suite" &
    jobs="$jobs $!"
done
failed=
for job in $jobs; do
    wait "$job" || failed=yes
done
[ -z "$failed" ] || fail "an image could not be made; install mmdebstrap ('apt-get install mmdebstrap' as root), or let a registry be reached, and run again"
