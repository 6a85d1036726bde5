# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the web server at an address for a site by its name, and judges the answer."""

DOCUMENTATION = r"""
---
module: http_check
short_description: Judge the answer of the web server at an address
description:
  - Sends requests to a given address under a site's name (Host, and SNI with TLS), wherever the name points, and fails
    unless the answers are as expected.
  - With O(wait) it asks again until they are, or until the deadline.
version_added: "0.1.0"
author: The ocpizza.cutover team
attributes:
  check_mode:
    support: full
    description: Sends GET or HEAD requests only, in check mode as well.
  diff_mode:
    support: none
    description: Nothing is changed.
options:
  server:
    description: Scheme, address and port of the web server, such as V(https://192.0.2.14).
    type: str
    required: true
  host:
    description: The site's name.
    type: str
    required: true
  path:
    description: What to ask for.
    type: str
    default: /
  method:
    description: The request's method.
    type: str
    choices: [GET, HEAD]
    default: GET
  send:
    description: Further headers of the request.
    type: dict
    default: {}
  credentials:
    description: Headers of the request that carry secrets, such as C(Authorization). Their values are in no output.
    type: dict
    default: {}
  status:
    description: The statuses that are right; any where empty. Redirects are not followed.
    type: list
    elements: int
    default: [200]
  headers:
    description: For each header that must be there a regular expression that its value must fit.
    type: dict
    default: {}
  body:
    description: Regular expressions that the body must fit.
    type: list
    elements: str
    default: []
  absent:
    description: Regular expressions that the body must not fit.
    type: list
    elements: str
    default: []
  json:
    description: Values that the JSON of the body must have, by their path such as C(checks.0.name).
    type: dict
    default: {}
  ca:
    description: Certificates on the host that the server's certificate is checked against; the system's by default.
    type: path
  verify:
    description: Whether the server's certificate must be trusted and be for O(host).
    type: bool
    default: true
  certificate_days:
    description: For how many days each certificate that the server sends must last. 0 looks at none of them.
    type: int
    default: 0
  samples:
    description: How many requests are sent, one after the other. All must be answered as expected.
    type: int
    default: 1
  latency:
    description: The most milliseconds for C(p50), C(p90), C(p95), C(p99) or C(max), from connecting to the last byte.
    type: dict
    default: {}
  timeout:
    description: Seconds to wait for one answer.
    type: float
    default: 10
  wait:
    description: Seconds within which all must be as expected; 0 tries once.
    type: float
    default: 0
  pause:
    description: Seconds between two tries.
    type: float
    default: 1
"""

EXAMPLES = r"""
- name: Wait until the new web server serves the shop
  ocpizza.cutover.http_check:
    server: https://192.0.2.14
    host: shop.example
    path: /healthz
    json: {status: ok, checks.0.name: database}
    certificate_days: 21
    wait: 60

- name: Measure the new server under the shop's name
  ocpizza.cutover.http_check:
    server: https://192.0.2.14
    host: shop.example
    samples: 200
    latency: {p95: 300}
"""

RETURN = r"""
status:
  description: Status of the last answer.
  type: int
  returned: when there was an answer
headers:
  description: Its headers, without cookies, names in lower case.
  type: dict
  returned: when there was an answer
length:
  description: Bytes of its body.
  type: int
  returned: when there was an answer
ms:
  description: Least, p50, p90, p95, p99 and most milliseconds of the answers.
  type: dict
  returned: when there was an answer
chain:
  description: >-
    The certificates that the server sends, the site's own first, each with subject, issuer, names and expires (seconds
    since 1970).
  type: list
  elements: dict
  returned: when O(certificate_days) is above 0
tries:
  description: How often it was tried.
  type: int
  returned: always
problems:
  description: What is not as expected.
  type: list
  elements: str
  returned: always
"""

import time  # noqa: E402
from urllib.parse import urlsplit  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

from ansible_collections.ocpizza.cutover.plugins.module_utils import answers, certificates, http_checks  # noqa: E402


def refuse(params):
    """Why the request makes no sense; nothing when it does."""
    problems = http_checks.pattern_problems(params["body"] + params["absent"] + list(params["headers"].values()))
    try:
        parts = urlsplit(params["server"])
        known = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1) and not parts.path.strip("/")
    except ValueError:
        known = False
    if not known:
        text = "server is '{0}'; write it as https://192.0.2.14 or http://[2001:db8::1]:8080"
        problems.append(text.format(params["server"]))
    if not params["path"].startswith("/"):
        problems.append("path is '{0}'; it must begin with /".format(params["path"]))
    if params["samples"] < 1:
        problems.append("samples is {0}; give at least 1".format(params["samples"]))
    names = ["max"] + ["p{0}".format(share) for share in http_checks.PERCENTILES]
    for name, limit in params["latency"].items():
        if name not in names or not isinstance(limit, (int, float)):
            problems.append("latency has '{0}: {1}'; give milliseconds for {2}".format(name, limit, ", ".join(names)))
    return problems


def look(module):
    """One try: what was answered, and what is wrong with it."""
    params = module.params
    found, taken, problems = {}, [], []
    for _turn in range(params["samples"]):
        begun = time.monotonic()
        try:
            answer = answers.ask(
                params["server"],
                params["host"],
                params["path"],
                params["timeout"],
                params["ca"],
                params["method"],
                dict(params["send"], **params["credentials"]),
                params["verify"],
            )
        except Exception as error:
            problems.append("no answer: {0}".format(error))
            continue
        taken.append((time.monotonic() - begun) * 1000)
        problems += http_checks.judge(answer, params)
        headers = {name: value for name, value in answer.headers.items() if name != "set-cookie"}
        found.update(status=answer.status, headers=headers, length=len(answer.body))
    problems = http_checks.together(problems, params["samples"])
    if taken:
        found["ms"] = http_checks.percentiles(taken)
        problems += http_checks.judge_latency(found["ms"], params["latency"])
    if params["certificate_days"] > 0:
        found["chain"], late = look_at_chain(module)
        problems += late
    return dict(found, problems=problems)


def look_at_chain(module):
    """The certificates that the server sends, and which end too soon or could not be read."""
    openssl, parts = module.get_bin_path("openssl"), urlsplit(module.params["server"])
    if parts.scheme != "https":
        return [], ["the server's certificates are not checked: {0} has no TLS".format(module.params["server"])]
    if not openssl:
        return [], ["the server's certificates are not checked: this host has no openssl"]
    try:
        text = certificates.sent_by(
            module.run_command, openssl, parts.hostname, parts.port or 443, module.params["host"]
        )
        chain = certificates.read_chain(module.run_command, openssl, text)
    except ValueError as error:
        return [], ["the server's certificates are not checked: {0}".format(error)]
    return chain, certificates.expiring(chain, time.time(), module.params["certificate_days"])


def main():
    module = AnsibleModule(
        argument_spec={
            "server": {"type": "str", "required": True},
            "host": {"type": "str", "required": True},
            "path": {"type": "str", "default": "/"},
            "method": {"type": "str", "choices": ["GET", "HEAD"], "default": "GET"},
            "send": {"type": "dict", "default": {}},
            "credentials": {"type": "dict", "default": {}, "no_log": True},
            "status": {"type": "list", "elements": "int", "default": [200]},
            "headers": {"type": "dict", "default": {}},
            "body": {"type": "list", "elements": "str", "default": []},
            "absent": {"type": "list", "elements": "str", "default": []},
            "json": {"type": "dict", "default": {}},
            "ca": {"type": "path"},
            "verify": {"type": "bool", "default": True},
            "certificate_days": {"type": "int", "default": 0},
            "samples": {"type": "int", "default": 1},
            "latency": {"type": "dict", "default": {}},
            "timeout": {"type": "float", "default": 10.0},
            "wait": {"type": "float", "default": 0.0},
            "pause": {"type": "float", "default": 1.0},
        },
        supports_check_mode=True,
    )
    params = module.params
    problems = refuse(params)
    if problems:
        module.fail_json(msg="; ".join(problems), problems=problems, tries=0)
    deadline, tries = time.monotonic() + params["wait"], 0
    while True:
        tries += 1
        found = look(module)
        if not found["problems"]:
            module.exit_json(changed=False, tries=tries, **found)
        if time.monotonic() + params["pause"] > deadline:
            break
        time.sleep(params["pause"])
    within = " within {0:g} s ({1} tries)".format(params["wait"], tries) if params["wait"] else ""
    module.fail_json(
        msg="{0} does not answer for {1}{2} as it should{3}: {4}".format(
            params["server"], params["host"], params["path"], within, "; ".join(found["problems"])
        ),
        tries=tries,
        **found,
    )


if __name__ == "__main__":
    main()
