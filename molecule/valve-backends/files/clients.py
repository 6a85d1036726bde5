"""Clients that never ask twice, and a hold in the middle of them, as the agent does one: clients.py PLAN; prints JSON.

The plan has site, domain, port, tls, upstream, side (which the hold ends towards), near (seconds).
"""

import http.client
import json
import ssl
import sys
import threading
import time

plan = json.loads(sys.argv[1])
runtime, state = "/run/cutover/" + plan["site"], "/var/lib/cutover/" + plan["site"]
sys.path.insert(0, state + "/agent.pyz")
from ansible_collections.ocpizza.cutover.plugins.module_utils import upstreams, valve  # noqa: E402

KEPT, FRESH, SLOW = 12, 20, 2
upstream = upstreams.parse(plan["upstream"])
endpoint = valve.Endpoint(**upstreams.endpoint(upstream, runtime))
targets = {
    "source": upstreams.release_target(upstream, plan["valve_port"] + 1000),
    "target": "127.0.0.1:%d" % (plan["valve_port"] + 1),
}
the_valve = valve.Valve(plan["site"], runtime, state, "cutover-" + plan["site"], targets)
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
answers, failures, closed = [], [], [0]
stop = threading.Event()


def connect():
    """A connection to the web server."""
    if plan["tls"]:
        return http.client.HTTPSConnection("127.0.0.1", 443, timeout=20, context=context)
    return http.client.HTTPConnection("127.0.0.1", 80, timeout=20)


def client(number, kept, milliseconds):
    """Ask again and again; each request once."""
    connection, turn = None, 0
    while not stop.is_set():
        turn += 1
        fresh = connection is None or connection.sock is None or not kept
        if fresh:
            connection = connect()
        body = b"x" * 20000 if (number + turn) % 3 == 0 else None
        begun = time.monotonic()
        try:
            connection.request(
                "POST" if body else "GET",
                "/app/%d/%d?turn=%d" % (number, milliseconds, turn),
                body,
                {"Host": plan["domain"], "Connection": "keep-alive" if kept else "close"},
            )
            answer = connection.getresponse()
            text = answer.read()
            told = json.loads(text) if answer.status == 200 else {}
            wrong = (
                told.get("path", "").partition("?")[0] != "/app/%d/%d" % (number, milliseconds)
                or told.get("bytes") != len(body or b"")
                or told.get("method") != ("POST" if body else "GET")
            )
            if answer.status != 200 or wrong:
                failures.append("%d %s" % (answer.status, text[:200].decode("utf-8", "replace")))
            else:
                answers.append((begun, time.monotonic(), told["server"]))
        except (OSError, http.client.HTTPException, ValueError) as error:
            failures.append("%s %r" % ("fresh" if fresh else "kept", error))
            connection = None
        if kept and (connection is None or connection.sock is None):
            closed[0] += 1
        time.sleep(0.05)


threads = [threading.Thread(target=client, args=(number, True, 5)) for number in range(KEPT)]
threads += [threading.Thread(target=client, args=(number, False, 5)) for number in range(KEPT, KEPT + FRESH)]
threads += [threading.Thread(target=client, args=(90 + number, False, 300)) for number in range(SLOW)]
for thread in threads:
    thread.start()
time.sleep(1)
valve.prepare(the_valve)
valve.raise_flag(the_valve, "near")
time.sleep(plan["near"])
closed_by_near, closed[0] = closed[0], 0
held = time.monotonic()
valve.engage(the_valve)
drained = valve.drain(endpoint, held + 5)
quiet = time.monotonic()
time.sleep(0.6)
released = time.monotonic()
valve.release(the_valve, plan["side"])
valve.keep_again([the_valve], released - held)
time.sleep(1)
stop.set()
for thread in threads:
    thread.join()
with open("/srv/noted/" + plan["domain"]) as stream:
    ran = [tuple(map(float, line.split())) for line in stream]
after = [server for begun, _ended, server in answers if begun > released]
waited = [server for begun, ended, server in answers if begun > held and begun < released < ended]
print(
    json.dumps(
        {
            "drained": drained,
            "drain_ms": round((quiet - held) * 1000, 1),
            "requests": len(answers),
            "failed": failures[:5],
            "longest_ms": round(max(ended - begun for begun, ended, _server in answers) * 1000),
            "waited": len(waited),
            "waited_at": sorted(set(waited)),
            "after": len(after),
            "after_at": sorted(set(after)),
            "ran_inside": len([1 for begun, ended in ran if begun < released and ended > quiet]),
            "slow": len([1 for begun, ended in ran if ended - begun > 0.25]),
        }
    )
)
