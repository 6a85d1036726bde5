#!/bin/sh
# Makes sure that a Docker engine answers; installs Debian's and starts it by hand where no init runs.
# Prints one line with the remedy and exits 1 where that cannot be done.
set -eu

fail() {
    echo "engine: $1" >&2
    exit 1
}

# An older client may stand before Debian's on PATH and speak an API that the engine no longer has.
client=/usr/bin/docker
[ -x "$client" ] || client=docker

answers() {
    command -v "$client" >/dev/null 2>&1 && "$client" info >/dev/null 2>&1
}

privileged() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo "$@"
    else
        fail "needs root to run '$1'; run make as root, or install sudo"
    fi
}

install_engine() {
    command -v apt-get >/dev/null 2>&1 ||
        fail "no Docker engine answers and there is no apt-get; install Docker and start it, then run make again"
    echo "engine: installing docker.io" >&2
    privileged apt-get update -qq ||
        fail "apt-get update failed; check the machine's package sources, then run make again"
    privileged env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        docker.io iptables >/dev/null ||
        fail "could not install docker.io and iptables; install them by hand, then run make again"
    client=/usr/bin/docker
}

start_engine() {
    if [ -d /run/systemd/system ]; then
        privileged systemctl start docker
    else
        echo "engine: starting dockerd (log: /var/log/cutover-dockerd.log)" >&2
        privileged sh -c 'exec setsid nohup dockerd >/var/log/cutover-dockerd.log 2>&1 </dev/null &'
    fi
    waited=0
    until answers; do
        [ "$waited" -lt 60 ] ||
            fail "the Docker engine did not answer within 60 s; see /var/log/cutover-dockerd.log or 'journalctl -u docker'"
        sleep 1
        waited=$((waited + 1))
    done
}

# Each systemd in a container takes inotify instances; the kernel's 128 end them after about 24 machines.
raise_inotify() {
    now=$(cat /proc/sys/fs/inotify/max_user_instances)
    [ "$now" -ge 2048 ] || privileged sh -c 'echo 2048 >/proc/sys/fs/inotify/max_user_instances' ||
        echo "engine: fs.inotify.max_user_instances is $now; more than 20 lab machines need 2048" >&2
}

if ! answers; then
    [ -x /usr/sbin/dockerd ] || command -v dockerd >/dev/null 2>&1 || install_engine
    start_engine
fi
raise_inotify
