# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the source, on its own Python: strikes when the switchover is where it should be, and tells of every hold.

``striker.py record`` prints a line a hold; ``striker.py strike PLAN`` follows [[sign, after, command], ...] in order,
prints a line each, and one more where the last command failed within a second: then nothing was broken.
"""

import json
import os
import subprocess
import sys
import time
from typing import Any, List

RUN, STATE = "/run/cutover/ocpizza", "/var/lib/cutover/ocpizza"
UNIT = "cutover-ocpizza-switchover"
PATIENCE = 300


def content(path: str) -> str:
    """A file's text; '' where there is none."""
    try:
        with open(path) as stream:
            return stream.read()
    except OSError:
        return ""


def seen(sign: str) -> bool:
    """Whether the switchover has come so far."""
    if sign == "unit":
        return subprocess.call(["systemctl", "-q", "is-active", UNIT]) == 0
    if sign == "open":
        return os.path.islink(STATE + "/decision") and os.readlink(STATE + "/decision").startswith("open")
    if sign == "settled":
        return '"side": "target"' in content(STATE + "/state.json")
    return os.path.exists((STATE if sign == "moved" else RUN) + "/" + sign)


def strike(plan: List[List[Any]]) -> None:
    """Wait for each sign, then act; nothing waits for a command to end."""
    until = time.monotonic() + PATIENCE
    last = None
    for sign, after, command in plan:
        while not seen(sign):
            if time.monotonic() > until:
                sys.exit("the switchover never came to " + sign)
            time.sleep(0.0005)
        time.sleep(after)
        if command:
            last = subprocess.Popen(["sh", "-c", command], stdout=subprocess.DEVNULL, start_new_session=True)
        print("struck at " + sign, flush=True)
    if last:
        try:
            if last.wait(1):
                print("failed", flush=True)
        except subprocess.TimeoutExpired:
            pass


def record() -> None:
    """Tell of each hold when it begins and when it ends."""
    held = False
    while True:
        now = os.path.exists(RUN + "/hold")
        if now != held:
            held = now
            print(json.dumps([held, time.time()]), flush=True)
        time.sleep(0.005)


if sys.argv[1] == "record":
    record()
else:
    strike(json.loads(sys.argv[2]))
