#!/bin/sh
# Makes .venv with what requirements.txt pins, and what a Debian machine lacks for that.
# Prints one line with the remedy and exits 1 where it cannot.
set -eu
cd "$(dirname "$0")/../.."

fail() {
    echo "setup: $1" >&2
    exit 1
}

usable() {
    command -v "$1" >/dev/null 2>&1 &&
        "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

install() {
    [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1 ||
        fail "missing: $*; run 'apt-get install $*' as root, then make again"
    echo "setup: installing $*" >&2
    { apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1 ||
        { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@" >/dev/null; }; } ||
        fail "could not install $*; install it by hand, then run make again"
}

python=
for candidate in ${PYTHON:-python3} python3.13 python3.12 python3.11 /usr/bin/python3; do
    if usable "$candidate"; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || fail "no Python of at least 3.11; install python3 (Debian 12 or newer), or name one: make PYTHON=…"

"$python" -c 'import ensurepip, venv' >/dev/null 2>&1 || install python3-venv
command -v ssh >/dev/null 2>&1 && command -v ssh-keygen >/dev/null 2>&1 || install openssh-client

[ -x .venv/bin/python ] || "$python" -m venv .venv || fail "could not make .venv with $python; remove .venv and run make again"
# Only what is imported is compiled, when it is: to compile all of it takes as long as to fetch and unpack it.
.venv/bin/python -m pip install -qq --no-compile --disable-pip-version-check --requirement requirements.txt ||
    fail "pip could not install requirements.txt; is a package index reachable (PIP_INDEX_URL, PIP_CERT)?"
.venv/bin/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable . ||
    fail "pip could not install this checkout; remove .venv and run make again"

mkdir -p build/collections/ansible_collections/ocpizza
ln -sfn ../../../.. build/collections/ansible_collections/ocpizza/cutover
