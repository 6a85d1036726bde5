# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The faults: where each one strikes, how, how it heals, and what must come of it.

A moment inside the hold lasts only milliseconds, so some are made longer: somebody else holds a lock that the step
needs. The journal cannot be waited for there, for it is written after the release; the flag files can.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

AS_BEFORE, DONE = "as before", "done"
EITHER = f"{DONE} or {AS_BEFORE}"
UNIT = "cutover-ocpizza-switchover"
STATE = "/var/lib/cutover/ocpizza"
# The lab that the table is for, and what shows in a command that it is for that lab alone.
USUAL = ("mariadb", "apache")
OWN_DATABASE = "the site's own database was down"
OWN_MACHINE = "the machine with the web server was down"
OWN_WEB = "the web server itself was broken"


@dataclass(frozen=True)
class Moment:
    """When to strike: seconds after a sign was seen. ``stretch`` runs on the source a second before the hold."""

    step: str
    sign: str = ""
    after: float = 0.0
    stretch: str = ""


@dataclass(frozen=True)
class Act:
    """A shell command on a machine. ``controller`` and ``power`` stand for what no shell on it can do."""

    on: str
    do: str


@dataclass(frozen=True)
class Fault:
    """One row of the table."""

    key: str
    text: str
    moment: Moment
    strike: tuple[Act, ...]
    expected: str
    heal: tuple[Act, ...] = ()
    # Why requests may fail: only where what answers them was broken.
    excused: str = ""
    command: tuple[str, ...] = ("cutover.yml",)
    # What the refusal tells a person to run before the same command again.
    remedy: str = ""
    # What makes the fault possible, done before there is any traffic.
    ready: tuple[Act, ...] = ()


def sql(statement: str, database: str = "ocpizza") -> str:
    """A statement as the server's own administrator."""
    return f'mariadb {database} -e "{statement}"'


def locked(table: str, seconds: float) -> str:
    """Somebody who keeps a table to himself for a while."""
    return sql(f"LOCK TABLES {table}; SELECT SLEEP({seconds}); UNLOCK TABLES")


def kept_open(seconds: float) -> str:
    """A transaction that has locked rows of the site, and does not end for a while."""
    return sql("START TRANSACTION; UPDATE rank SET name = name; DO SLEEP(%s); ROLLBACK" % seconds)  # noqa: S608 - no user's text


def not_closing(seconds: float) -> str:
    """A transaction that lets nobody set the hard fence for a while, and everybody read it."""
    return sql(f"START TRANSACTION; SELECT * FROM cutover_ocpizza.fence FOR UPDATE; DO SLEEP({seconds}); ROLLBACK")  # noqa: S608 - nor here


def killed(*names: str) -> str:
    """A unit's processes, without a chance to say anything."""
    return "systemctl kill -s KILL " + " ".join(names)


def without(machine: str) -> str:
    """A machine that no packet reaches any more."""
    return f"ip route add blackhole $(getent ahostsv4 {machine} | head -1 | cut -d' ' -f1)/32"


def again_with(machine: str) -> str:
    """The same machine, reached."""
    return f"ip route del blackhole $(getent ahostsv4 {machine} | head -1 | cut -d' ' -f1)/32 || true"


# A client that uploads two kilobytes a second to the source; Apache passes on what comes, so the application is at it.
SLOW_CLIENT = """pgrep apache2 >/dev/null && { nohup python3 -c '
import socket, time
client = socket.create_connection(("127.0.0.1", 80))
head = ["POST /api/orders HTTP/1.1", "Host: ocpizza.test", "Content-Type: application/json", "Content-Length: 2000000"]
head.append("Idempotency-Key: 5d0f6c1e-7b2a-4f43-9a55-0c7e7f0d1a11")
client.sendall(("\\r\\n".join(head) + "\\r\\n\\r\\n").encode() + b" " * 65536)
while True:
    time.sleep(0.5)
    client.sendall(b" " * 1000)
' & } && sleep 2 && pgrep -f "[p]ython3 -c .import socket" """
SLOW_CLIENT_ENDED = "pkill -f '[p]ython3 -c .import socket' || true"

# Keep-alive is off for 6 s, then comes the hold.
STRETCH_S = 5.0
BEFORE = Moment("before")
GATE = Moment("gate", "unit", 0.5)
NEAR = Moment("keep-alive off", "near", 1.0)
LATE_NEAR = Moment("keep-alive off", "near", 5.5)
HOLD = Moment("hold", "hold")
DRAIN = Moment("drain", "hold", 0.3, locked("shop_order WRITE", 2.5))
FENCE = Moment("fence", "hold", 0.6, kept_open(2.5))
CATCH_UP = Moment("catch up", "hold", 0.6, locked("cutover_ocpizza.marker READ", 2.5))
OPEN = Moment("open", "open", 0.1, not_closing(2.5))
# A machine takes its time to lose its power.
LONG_OPEN = Moment("open", "open", 0.1, not_closing(4))
RELEASE = Moment("release", "moved")
FOR_GOOD = Moment("fence for good", "moved", 0.05)
SETTLED = Moment("after", "settled")

CONTROLLER = (Act("controller", "kill"),)
OWNER = (Act("old", killed(UNIT)),)
WATCHDOG = (Act("old", killed(f"{UNIT}-watchdog")),)
BOTH = (Act("old", killed(UNIT, f"{UNIT}-watchdog")),)
RUN_FULL = (
    "mount -o remount,size=$(($(df -k --output=used /run | tail -1) + 64))k /run && "
    "{ dd if=/dev/zero of=/run/filler bs=1k status=none || true; }"
)
WRITES = f"n=0; while [ $n -lt 300 ]; do {sql('UPDATE rank SET name = name')}; sleep 0.1; n=$((n+1)); done"  # noqa: S608 - nor here
LINK = "'cutover_ocpizza'"
ENDED = (
    "mariadb -NBe \"SELECT id FROM information_schema.processlist WHERE info LIKE 'DO SLEEP(60)%'\" "
    '| while read id; do mariadb -e "KILL $id"; done'
)
NGINX = "/etc/nginx/sites-available/ocpizza"
FILLED = "{ dd if=/dev/zero of=/mnt/full/filler bs=1k status=none || true; }"
DATA = "/var/lib/mysql"


def small(folder: str, room: int) -> str:
    """Everything that is in a folder, on a disk of its own with so many KiB left."""
    return (
        f"mkdir -p /mnt/full && mount -t tmpfs -o size=$(($(du -sk {folder} | cut -f1) + {room}))k full /mnt/full && "
        f"cp -a {folder}/. /mnt/full && mount --bind /mnt/full {folder}"
    )


def large(folder: str) -> str:
    """The same folder on the disk that it was on, as it is now."""
    return (
        f"rm -f /mnt/full/filler; umount -l {folder} && find {folder} -mindepth 1 -delete && "
        f"cp -a /mnt/full/. {folder}/ && umount -l /mnt/full"
    )


def stopped(service: str, meanwhile: str) -> str:
    """Something done to a service's files."""
    return f"systemctl stop {service}; {meanwhile}; systemctl start {service}"


def skewed(minutes: int) -> str:
    """The database believes another time from its next start on."""
    return (
        "mkdir -p /run/systemd/system/mariadb.service.d && printf '[Service]\\nEnvironment=LD_PRELOAD=%s "
        f"FAKETIME={minutes:+d}m DONT_FAKE_MONOTONIC=1\\n' $(find /usr/lib -name libfaketimeMT.so.1) "
        "> /run/systemd/system/mariadb.service.d/clock.conf; systemctl daemon-reload; systemctl restart mariadb"
    )


FAKETIME = (
    "apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends libfaketime"
)
PUNCTUAL = (
    "rm -r /run/systemd/system/mariadb.service.d; systemctl daemon-reload; systemctl restart mariadb; "
    "apt-get purge -y -qq libfaketime"
)


def _slug(moment: Moment) -> str:
    return moment.step.replace(" ", "-")


def faults() -> list[Fault]:
    """Every fault that can be asked for, in the order in which they run."""
    return [*_processes(), *_databases(), *_surroundings(), *_machines()]


def _processes() -> Iterator[Fault]:
    for moment in (GATE, NEAR, HOLD, DRAIN, FENCE, CATCH_UP, OPEN, RELEASE, SETTLED):
        yield Fault(f"controller-{_slug(moment)}", "the controller is killed", moment, CONTROLLER, DONE)
    yield Fault(
        "ssh-cut",
        "every ssh session to the source is cut",
        HOLD,
        (Act("old", "pkill -KILL -u admin sshd"),),
        DONE,
    )
    yield Fault(
        "ssh-closed",
        "ssh to the source is closed for 15 s",
        NEAR,
        (Act("old", "systemctl stop ssh; pkill -KILL -u admin sshd; sleep 15; systemctl start ssh"),),
        DONE,
    )
    before_open = (GATE, NEAR, HOLD, DRAIN, FENCE, CATCH_UP)
    for moment in (*before_open, OPEN, RELEASE, FOR_GOOD, SETTLED):
        expected = AS_BEFORE if moment in before_open else DONE
        yield Fault(f"process-{_slug(moment)}", "the switchover's process is killed", moment, OWNER, expected)
    for moment in (HOLD, OPEN, RELEASE):
        yield Fault(f"watchdog-{_slug(moment)}", "the watchdog is killed", moment, WATCHDOG, EITHER)
    for moment in (NEAR, HOLD, CATCH_UP, OPEN, FOR_GOOD):
        expected = DONE if moment in (OPEN, FOR_GOOD) else AS_BEFORE
        yield Fault(f"both-{_slug(moment)}", "the process and its watchdog are killed at once", moment, BOTH, expected)


def _databases() -> Iterator[Fault]:
    start = Act("old", "systemctl start mariadb")
    yield Fault(
        "source-database-killed",
        "the source's database is killed; systemd starts it again",
        CATCH_UP,
        (Act("old", "systemctl kill -s KILL mariadb"),),
        AS_BEFORE,
        (start,),
        OWN_DATABASE,
    )
    yield Fault(
        "source-database-stopped",
        "the source's database is stopped and started after 3 s",
        NEAR,
        (Act("old", "systemctl stop mariadb; sleep 3; systemctl start mariadb"),),
        AS_BEFORE,
        (start,),
        OWN_DATABASE,
    )
    yield Fault(
        "source-database-hangs",
        "the source's database stands still for 8 s",
        LATE_NEAR,
        (Act("old", "pkill -STOP mariadbd; sleep 8; pkill -CONT mariadbd"),),
        AS_BEFORE,
    )
    for moment, key in ((BEFORE, "gate"), (LATE_NEAR, "inside")):
        yield Fault(
            f"target-database-stopped-{key}",
            "the target's database is stopped",
            moment,
            (Act("db", "systemctl stop mariadb"),),
            AS_BEFORE,
            (Act("db", "systemctl start mariadb"),),
        )
        yield Fault(
            f"replication-stopped-{key}",
            "replication to the target is stopped",
            moment,
            (Act("db", sql(f"STOP SLAVE {LINK}")),),
            AS_BEFORE,
            (Act("db", sql(f"START SLAVE {LINK}")),),
        )
        yield Fault(
            f"replication-errs-{key}",
            "the target lacks a table that replication writes to",
            moment,
            (Act("db", sql("RENAME TABLE shop_order TO away")),),
            AS_BEFORE,
            (Act("db", sql(f"RENAME TABLE away TO shop_order; START SLAVE {LINK}")),),
        )
        yield Fault(
            f"reverse-stopped-{key}",
            "the replication back to the source is stopped",
            moment,
            (Act("old", sql(f"STOP SLAVE {LINK}")),),
            AS_BEFORE,
            (Act("old", sql(f"START SLAVE {LINK}")),),
        )
    yield Fault(
        "target-database-killed",
        "the target's database is killed; systemd starts it again",
        LATE_NEAR,
        (Act("db", "systemctl kill -s KILL mariadb"),),
        EITHER,
        (Act("db", "systemctl start mariadb"),),
    )
    yield Fault(
        "target-database-hangs",
        "the target's database stands still for 8 s",
        LATE_NEAR,
        (Act("db", "pkill -STOP mariadbd; sleep 8; pkill -CONT mariadbd"),),
        AS_BEFORE,
    )
    yield Fault(
        "target-slow",
        "the target's database sends 16 kbit/s",
        LATE_NEAR,
        (Act("db", "tc qdisc add dev eth0 root tbf rate 16kbit burst 2kb latency 500ms"),),
        EITHER,
        (Act("db", "tc qdisc del dev eth0 root"),),
    )
    for host, side in (("old", "source"), ("db", "target")):
        yield Fault(
            f"{side}-database-hangs-open",
            f"the {side}'s database stands still for 8 s",
            OPEN,
            (Act(host, "pkill -STOP mariadbd; sleep 8; pkill -CONT mariadbd"),),
            EITHER,
        )
        for moment, key in ((BEFORE, "gate"), (NEAR, "inside")):
            yield Fault(
                f"{side}-disk-full-{key}",
                f"the disk of the {side}'s database is full",
                moment,
                (Act(host, FILLED),),
                AS_BEFORE,
                # MariaDB looks once a minute whether there is room again.
                (Act(host, "rm -f /mnt/full/filler; sleep 62; " + stopped("mariadb", large(DATA))),),
                OWN_DATABASE if host == "old" else "",
                ready=(Act(host, stopped("mariadb", small(DATA, 16384))),),
            )
    for minutes in (7, -7):
        yield Fault(
            f"clock-{'ahead' if minutes > 0 else 'behind'}",
            f"the clock of the target's database is seven minutes {'ahead' if minutes > 0 else 'behind'}",
            BEFORE,
            (Act("db", skewed(minutes)),),
            DONE,
            (Act("db", PUNCTUAL),),
            OWN_DATABASE,
            ready=(Act("db", FAKETIME),),
        )
    for moment in (NEAR, CATCH_UP, OPEN):
        yield Fault(
            f"target-partitioned-{_slug(moment)}",
            "no packet reaches the target's database",
            moment,
            (Act("old", without("db")),),
            AS_BEFORE,
            (Act("old", again_with("db")),),
        )


def _surroundings() -> Iterator[Fault]:
    yield Fault(
        "transaction-open",
        "a transaction that has written stays open for a minute",
        BEFORE,
        (Act("old", kept_open(60) + " & sleep 2"),),
        AS_BEFORE,
        (Act("old", ENDED),),
    )
    yield Fault(
        "transaction-opened-inside",
        "a transaction that has written is opened after the gate and not ended",
        NEAR,
        (Act("old", kept_open(60)),),
        AS_BEFORE,
        (Act("old", ENDED),),
    )
    yield Fault(
        "long-request",
        "an upload takes longer than the deadline",
        NEAR,
        (Act("old", SLOW_CLIENT),),
        AS_BEFORE,
        (Act("old", SLOW_CLIENT_ENDED),),
    )
    yield Fault(
        "long-request-ended",
        "an upload takes longer than the second after which such are ended",
        NEAR,
        (Act("old", SLOW_CLIENT),),
        DONE,
        (Act("old", SLOW_CLIENT_ENDED),),
        command=("cutover.yml", "-e", "switchover_end_requests_after=1"),
    )
    yield Fault(
        "direct-writer",
        "somebody writes straight to the source's database, ten times a second",
        BEFORE,
        (Act("old", f"({WRITES}) & sleep 1"),),
        DONE,
        (Act("old", "pkill -f 'while . .n -lt 300' || true"),),
    )
    yield Fault(
        "schema-changed",
        "a table gets a column after the proof",
        BEFORE,
        (Act("old", sql("ALTER TABLE shop_order ADD COLUMN fault INT NULL")),),
        AS_BEFORE,
        (Act("old", sql("ALTER TABLE shop_order DROP COLUMN fault")),),
        remedy="verify.yml",
    )
    yield Fault(
        "schema-changed-inside",
        "a table gets a column after the gate",
        NEAR,
        (Act("old", sql("ALTER TABLE shop_order ADD COLUMN fault INT NULL")),),
        AS_BEFORE,
        (Act("old", sql("ALTER TABLE shop_order DROP COLUMN fault")),),
        remedy="verify.yml",
    )
    yield Fault(
        "table-added",
        "a table is added after the proof",
        BEFORE,
        (Act("old", sql("CREATE TABLE fault (id INT PRIMARY KEY)")),),
        AS_BEFORE,
        (Act("old", sql("DROP TABLE fault")),),
    )
    yield Fault(
        "writer-on-target",
        "somebody tries to write to the target's database, ten times a second",
        BEFORE,
        (Act("db", f"({WRITES}) & sleep 1"),),
        DONE,
        (Act("db", "pkill -f 'while . .n -lt 300' || true"),),
    )
    yield Fault(
        "second-migration",
        "somebody else starts the same migration",
        GATE,
        (Act("controller", "second"),),
        DONE,
    )
    yield Fault(
        "state-disk-full",
        "the disk with the switchover's own files is full on the source",
        NEAR,
        (Act("old", small("/var/lib/cutover", 64) + " && " + FILLED),),
        AS_BEFORE,
        (Act("old", large("/var/lib/cutover")),),
    )
    yield Fault(
        "run-full",
        "/run is full on the source",
        NEAR,
        (Act("old", RUN_FULL),),
        AS_BEFORE,
        (Act("old", "rm -f /run/filler; mount -o remount,size=64m /run"),),
    )
    for key, text, broken, mended in (
        ("stopped", "is stopped", "systemctl stop supervisor", "systemctl start supervisor"),
        ("hangs", "hangs", "pkill -STOP -f bin/[g]unicorn", "pkill -CONT -f bin/[g]unicorn"),
    ):
        yield Fault(
            f"target-application-{key}",
            f"the target's application {text}",
            BEFORE,
            (Act("app1", broken), Act("app2", broken)),
            AS_BEFORE,
            (Act("app1", mended), Act("app2", mended)),
        )
    other = (
        "cd /opt/ocpizza/current && file=$(find . -path '*/ocpizza/release.py' | head -1) && "
        "sed -i 's/{0}/{1}/' $file && supervisorctl restart ocpizza:* && sleep 5"
    )
    yield Fault(
        "target-other-release",
        "somebody deploys another release to the target",
        BEFORE,
        (Act("app1", other.format("1.0", "9.9")), Act("app2", other.format("1.0", "9.9"))),
        AS_BEFORE,
        (Act("app1", other.format("9.9", "1.0")), Act("app2", other.format("9.9", "1.0"))),
    )
    yield Fault(
        "target-answers-500",
        "the target's web server answers 500",
        BEFORE,
        (Act("web1", f"sed -i 's/^server {{/&\\n    return 500;/' {NGINX}; nginx -t -q && nginx -s reload; sleep 1"),),
        AS_BEFORE,
        (Act("web1", f"sed -i '/^    return 500;$/d' {NGINX}; nginx -t -q && nginx -s reload; sleep 1"),),
    )
    yield Fault(
        "target-web-refuses",
        "the target's web server refuses its new configuration",
        BEFORE,
        (Act("web1", "echo 'no_such_directive on;' > /etc/nginx/conf.d/fault.conf"),),
        DONE,
        (Act("web1", "rm -f /etc/nginx/conf.d/fault.conf"),),
    )
    yield Fault(
        "source-web-refuses",
        "the source's web server refuses the valve's changed rules",
        BEFORE,
        (Act("old", "echo 'NoSuchDirective on' > /etc/apache2/conf-enabled/fault.conf"),),
        AS_BEFORE,
        (Act("old", "rm -f /etc/apache2/conf-enabled/fault.conf"),),
        command=("replicate.yml", "-e", '{"valve_local_prefixes": ["/static/", "/media/", "/fault/"]}'),
    )


def _machines() -> Iterator[Fault]:
    for moment in (NEAR, CATCH_UP, LONG_OPEN):
        yield Fault(
            f"source-restarted-{_slug(moment)}",
            "the source loses its power",
            moment,
            (Act("power", "old"),),
            AS_BEFORE,
            excused=OWN_MACHINE,
        )
    for moment in (RELEASE, SETTLED):
        yield Fault(
            f"source-restarted-{_slug(moment)}",
            "the source loses its power",
            moment,
            (Act("power", "old"),),
            DONE,
            excused=OWN_MACHINE,
        )
    yield Fault(
        "target-restarted-before",
        "the target's database machine loses its power",
        NEAR,
        (Act("power", "db"),),
        EITHER,
    )
    yield Fault(
        "target-restarted-after",
        "the target's database machine loses its power after go-live",
        SETTLED,
        (Act("power", "db"),),
        DONE,
        excused=OWN_DATABASE,
    )


def chosen(keys: Sequence[str], engines: Sequence[str] = USUAL[:1], web: str = USUAL[1]) -> list[Fault]:
    """The faults of these keys, or all that the lab can have; one that is not there is an error that names those."""
    lab = (*engines, web)
    absent = [name for name in USUAL if name not in lab]
    known = {fault.key: fault for fault in faults() if not any(_has(fault, name) for name in absent)}
    unknown = [key for key in keys if key not in known]
    if unknown:
        raise ValueError(f"no fault '{unknown[0]}' with {' and '.join(lab)}; there are {', '.join(known)}")
    return [known[key] for key in keys] if keys else list(known.values())


def _has(fault: Fault, name: str) -> bool:
    """Whether something of the usual lab is in a command of a fault."""
    commands = [act.do for act in (*fault.ready, *fault.strike, *fault.heal)]
    return any(name in command for command in [*commands, fault.moment.stretch])


def walk(seed: int, engines: Sequence[str] = USUAL[:1], web: str = USUAL[1]) -> Iterator[Fault]:
    """Faults drawn by a seed, for ever; what strikes a process strikes it at any instant of the hold."""
    draw = random.Random(seed)  # noqa: S311 - the same seed must draw the same
    table = chosen([], engines, web)
    while True:
        fault = draw.choice(table)
        if fault.strike in (OWNER, WATCHDOG, BOTH) and draw.random() < 0.7:
            after = round(draw.uniform(0, 0.6), 3)
            anywhere = Moment(f"hold + {after} s", "hold", after)
            fault = Fault(fault.key, fault.text, anywhere, fault.strike, EITHER)
        yield fault
