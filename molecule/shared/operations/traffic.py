#!/usr/bin/python3
"""traffic FILE PORT DOMAIN: 100 requests a second, half of them POST, until FILE.stop is there; FILE says what came.

Whoever waited for an answer sends afterwards what was due meanwhile, at the end as well: 100 a second on any machine.
"""

import collections
import http.client
import json
import os
import sys
import threading
import time

target, port, domain = sys.argv[1], int(sys.argv[2]), sys.argv[3]
lock, found, longest, bad = threading.Lock(), collections.Counter(), [0.0], []


def send(number):
    begun = time.monotonic()
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        method, body = ("POST", b"x" * 2000) if number % 2 else ("GET", None)
        connection.request(method, "/", body, {"Host": domain})
        answer = connection.getresponse()
        answer.read()
        result = str(answer.status)
        connection.close()
    except OSError as error:
        result = type(error).__name__
    with lock:
        found[result] += 1
        longest[0] = max(longest[0], time.monotonic() - begun)
        if result != "200":
            bad.append(begun)


def watch():
    while time.monotonic() < end[0]:
        if os.path.exists(target + ".stop"):
            end[0] = time.monotonic()
        time.sleep(0.05)


def client(first):
    due = time.monotonic()
    number = first
    while due < end[0]:
        send(number)
        number += 1
        due += 0.1
        time.sleep(max(0.0, due - time.monotonic()))


started = time.monotonic()
end = [started + 1200]
threads = [threading.Thread(target=watch)]
threads += [threading.Thread(target=client, args=(number,)) for number in range(10)]
for thread in threads:
    thread.start()
    time.sleep(0.01)
for thread in threads:
    thread.join()
with open(target, "w", encoding="utf-8") as stream:
    ended = os.path.exists(target + ".stop")
    told = {"answers": found, "longest_ms": round(longest[0] * 1000), "asked_to_end": ended}
    told["a_second"] = round(sum(found.values()) / (end[0] - started), 1)
    told["bad_for_seconds"] = round(max(bad) - min(bad), 1) if bad else 0
    json.dump(told, stream)
