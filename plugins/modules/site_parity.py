# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends the same requests to both sides, or to one and later to the other, and compares the answers."""

DOCUMENTATION = r"""
---
module: site_parity
short_description: Compare what two web servers answer for a site
description:
  - Sends each request to both servers by address, with the site's name, and compares status, headers, cookies, title
    and body. The addresses are given, or taken from the source's access log and its sitemap, some of every kind.
  - Every header that the source sends must be on the target as it is, but for those that differ from server to server
    (Date, ETag, Server ...). The target may send more, and may set cookies more strictly. Values of cookies, tokens
    against request forgery and the scheme in links may differ.
  - A page that differs is asked for again, because a site under traffic changes between two requests.
  - The answers of the source can be kept in a file, and compared when the source is gone.
  - Differences do not make the module fail; C(differences) tells, and C(not_checked) what could not be seen.
version_added: "0.1.0"
author: The ocpizza.cutover team
attributes:
  check_mode:
    support: full
    description: Sends GET requests only. No record is written.
  diff_mode:
    support: none
    description: Nothing is changed but the record.
options:
  source:
    description: Scheme, address and port of the source's web server. Without it O(record) must be there.
    type: str
  target:
    description: Scheme, address and port of the target's web server. Without it the source's answers are recorded only.
    type: str
  host:
    description: The site's name, sent as Host and by TLS.
    type: str
    required: true
  paths:
    description: Paths to ask for in any case. They are not counted in O(sample).
    type: list
    elements: str
    default: []
  logs:
    description:
      - Access logs of the source on this host, also rotated and compressed ones, by pattern. What was asked for with
        GET and answered with 2xx or 3xx is taken.
    type: list
    elements: str
    default: []
  format:
    description: Format of the logs as in M(ocpizza.cutover.access_log_info).
    type: str
    default: auto
  since:
    description: How old requests in the logs may be (90m, 12h, 7d), or a time with its zone.
    type: str
    default: 7d
  sitemap:
    description: Path of the site's sitemap on the source, such as V(/sitemap.xml).
    type: str
  names:
    description: Names of the site in its logs and its sitemap beside O(host).
    type: list
    elements: str
    default: []
  sample:
    description: How many addresses of the logs and the sitemap are asked for, some of every kind.
    type: int
    default: 200
  exclude:
    description:
      - Regular expressions of addresses that are never taken from logs and sitemap, because asking for them may change
        something. Sign-out, unsubscribe, delete, and addresses with tokens by default.
    type: list
    elements: str
    default: ['(log|sign)[-_]?(out|off)', 'unsubscribe', 'delete|remove', 'token=|signature=|password|confirm']
  record:
    description:
      - File on this host that keeps the source's answers, readable by its owner alone. It is written when O(source) is
        given, and read when it is not.
    type: path
  ca:
    description: Certificates on the host that both servers' certificates are checked against; the system's by default.
    type: path
  volatile:
    description: Regular expressions of text that may differ.
    type: list
    elements: str
    default: []
  ignore_headers:
    description: Further headers that may differ.
    type: list
    elements: str
    default: []
  tries:
    description: How often a page that differs is asked for.
    type: int
    default: 5
  parallel:
    description: How many addresses are asked for at a time.
    type: int
    default: 4
  timeout:
    description: Seconds to wait for one answer.
    type: float
    default: 10
"""

EXAMPLES = r"""
- name: Compare what both servers answer for what people asked for this week
  ocpizza.cutover.site_parity:
    source: http://127.0.0.1
    target: https://192.0.2.14
    host: shop.example
    logs: ["/var/log/apache2/shop-access.log*"]
    sitemap: /sitemap.xml
    sample: 1000
  register: parity
  failed_when: parity.differences or parity.not_checked

- name: Keep what the old server answers
  ocpizza.cutover.site_parity:
    source: http://192.0.2.7
    host: shop.example
    sitemap: /sitemap.xml
    record: /root/shop.answers.gz

- name: Compare the new server with it, weeks later
  ocpizza.cutover.site_parity:
    target: https://192.0.2.14
    host: shop.example
    record: /root/shop.answers.gz
"""

RETURN = r"""
differences:
  description: One text for each path whose answers differ.
  type: list
  elements: str
  returned: success
compared:
  description: How many paths were compared.
  type: int
  returned: success
recorded:
  description: How many of the source's answers were written into the record.
  type: int
  returned: success
known:
  description: How many addresses of the site were found in logs and sitemap, of which the sample was taken.
  type: int
  returned: success
ms:
  description: Least, p50, p90, p95, p99 and most milliseconds of the answers of C(source) and C(target).
  type: dict
  returned: success
faster:
  description: How many times faster the target's median is, below 1 it is slower; nothing where a side gave no answer.
  type: float
  returned: success
not_checked:
  description: Logs and sitemaps that could not be read, and why.
  type: list
  elements: str
  returned: success
"""

import re  # noqa: E402
import time  # noqa: E402
import zlib  # noqa: E402
from concurrent.futures import ThreadPoolExecutor  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

from ansible_collections.ocpizza.cutover.plugins.module_utils import (  # noqa: E402
    access_count,
    access_log,
    answers,
    http_checks,
    log_files,
    recorded_answers,
    site_addresses,
)

# Sitemaps that a sitemap lists and that are read.
MOST_SITEMAPS = 50


def ask(params, side, path):
    """The answer of a side with its milliseconds, or why there is none."""
    begun = time.monotonic()
    try:
        answer = answers.ask(params[side], params["host"], path, params["timeout"], params["ca"])
    except Exception as error:
        return None, answers.unanswered(side, params[side], error)
    return recorded_answers.Timed(answer, (time.monotonic() - begun) * 1000), ""


def look(params, recorded, path):
    """What either side answered for a path at last, and what differs or is missing after all tries."""
    got = {"source": recorded.get(path)}
    text = ""
    for turn in range(max(1, params["tries"])):
        if turn:
            time.sleep(0.3 * turn)
        for side in ("source", "target"):
            if params[side]:
                got[side], text = ask(params, side, path)
                if text:
                    break
        if text:
            continue
        if params["target"]:
            text = answers.compare_answers(
                got["source"].answer, got["target"].answer, params["volatile"], params["ignore_headers"]
            )
        if not text:
            break
    return got, text


def logged(params, names, found):
    """Take the addresses of the logs; what could not be read."""
    since = access_log.parse_since(params["since"], time.time())
    paths, none = log_files.expand(params["logs"])
    problems = ["no log fits {0}".format(pattern) for pattern in none]
    for path in paths:
        parser = access_log.Parser(params["format"])
        read, unknown = 0, 0

        def when(line, parser=parser):
            request = parser.parse(line)
            return request.time if request else None

        try:
            for line in log_files.read_since(path, since, when):
                request = parser.parse(line)
                read += request is not None
                unknown += request is None and bool(line.strip())
                if request is not None and request.time >= since and access_count.is_ours(request.vhost, names):
                    found.take(request)
        except (OSError, EOFError, zlib.error, log_files.lzma.LZMAError) as error:
            problems.append("{0} could not be read to its end: {1}".format(path, error))
        else:
            problems += ["{0} has no request in a format that is known".format(path)] if unknown and not read else []
    if not found.counted and not problems:
        problems.append("the logs have no request for the site since {0}".format(params["since"]))
    return problems


def mapped(params, names, found):
    """Take the addresses of the sitemap, and of those that it lists; what could not be read."""
    left, seen, problems = [params["sitemap"]], set(), []
    while left:
        path = left.pop(0)
        if path in seen:
            continue
        if len(seen) == MOST_SITEMAPS:
            problems.append("the sitemap lists more than {0} others".format(MOST_SITEMAPS))
            break
        seen.add(path)
        one, text = ask(params, "source", path)
        if one and one.answer.status != 200:
            text = "it is answered with {0}".format(one.answer.status)
        try:
            index, urls = (False, []) if text else site_addresses.read_sitemap(one.answer.body)
        except ValueError as error:
            text = str(error)
        if text:
            problems.append("sitemap {0}: {1}".format(path, text))
            continue
        own = [own for own in (site_addresses.path_of(url, names) for url in urls) if own]
        if not index:
            for address in own:
                found.add(address)
        left += own if index else []
    return problems


def refuse(params):
    """Why this makes no sense; nothing when it does."""
    for name in ("volatile", "exclude"):
        for pattern in params[name]:
            try:
                re.compile(pattern)
            except re.error as error:
                yield "{0} has '{1}', which is no regular expression: {2}".format(name, pattern, error)
    if not params["source"] and not params["record"]:
        yield "there is nothing to compare with: give source, or a record of its answers"
    if not params["target"] and not params["record"]:
        yield "there is nothing to compare: give target, or record for the source's answers"
    if not params["source"] and (params["logs"] or params["sitemap"] or params["paths"]):
        yield "paths, logs and sitemap are the source's: without source the record says what is compared"
    if params["source"] and not (params["paths"] or params["logs"] or params["sitemap"]):
        yield "there is nothing to ask for: give paths, logs or sitemap"
    try:
        access_log.Parser(params["format"])
        access_log.parse_since(params["since"], time.time())
    except ValueError as error:
        yield str(error)


def main():
    module = AnsibleModule(
        argument_spec={
            "source": {"type": "str"},
            "target": {"type": "str"},
            "host": {"type": "str", "required": True},
            "paths": {"type": "list", "elements": "str", "default": []},
            "logs": {"type": "list", "elements": "str", "default": []},
            "format": {"type": "str", "default": "auto"},
            "since": {"type": "str", "default": "7d"},
            "sitemap": {"type": "str"},
            "names": {"type": "list", "elements": "str", "default": []},
            "sample": {"type": "int", "default": 200},
            "exclude": {"type": "list", "elements": "str", "default": list(site_addresses.EXCLUDED)},
            "record": {"type": "path"},
            "ca": {"type": "path"},
            "volatile": {"type": "list", "elements": "str", "default": []},
            "ignore_headers": {"type": "list", "elements": "str", "default": []},
            "tries": {"type": "int", "default": 5},
            "parallel": {"type": "int", "default": 4},
            "timeout": {"type": "float", "default": 10.0},
        },
        supports_check_mode=True,
    )
    params = module.params
    problems = list(refuse(params))
    if problems:
        module.fail_json(msg="; ".join(problems))
    names = [access_count.ascii_name(name) for name in [params["host"], *params["names"]]]
    found, not_checked, recorded = site_addresses.Addresses(params["exclude"]), [], {}
    if params["source"]:
        not_checked += logged(params, names, found) if params["logs"] else []
        not_checked += mapped(params, names, found) if params["sitemap"] else []
        asked = list(dict.fromkeys([*params["paths"], *found.sample(params["sample"])]))
    else:
        try:
            recorded = recorded_answers.read(params["record"], params["host"])
        except ValueError as error:
            module.fail_json(msg=str(error))
        asked = list(recorded)
    with ThreadPoolExecutor(max(1, params["parallel"])) as pool:
        looked = dict(zip(asked, pool.map(lambda path: look(params, recorded, path), asked)))
    kept = {path: got["source"] for path, (got, _text) in looked.items() if got.get("source")}
    written = bool(params["record"] and params["source"])
    if written and not module.check_mode:
        try:
            recorded_answers.write(params["record"], params["host"], kept)
        except OSError as error:
            module.fail_json(msg="the record cannot be written: {0}".format(error))
    taken = {
        side: http_checks.percentiles([got[side].ms for got, _text in looked.values() if got.get(side)])
        for side in ("source", "target")
    }
    both = taken["source"] and taken["target"]
    module.exit_json(
        changed=written,
        differences=answers.describe_all({path: text for path, (_got, text) in looked.items()}),
        compared=len(looked) if params["target"] else 0,
        recorded=len(kept) if written else 0,
        known=len(found.counted),
        ms=taken,
        faster=round(taken["source"]["p50"] / max(taken["target"]["p50"], 0.1), 2) if both else None,
        not_checked=not_checked,
    )


if __name__ == "__main__":
    main()
