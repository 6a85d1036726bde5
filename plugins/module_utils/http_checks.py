# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an answer is what was expected, and how long answers take."""

import json
import math
import re
from collections import Counter
from typing import Any, Dict, List, Mapping, Sequence

from ansible_collections.ocpizza.cutover.plugins.module_utils.answers import Answer

PERCENTILES = (50, 90, 95, 99)


def pattern_problems(texts: Sequence[str]) -> List[str]:
    """One text for each regular expression that is none."""
    problems = []
    for text in texts:
        try:
            re.compile(text)
        except re.error as error:
            problems.append("'{0}' is no regular expression: {1}".format(text, error))
    return problems


def look_up(value: Any, path: str) -> Any:
    """What stands at a path of keys and numbers, a.b.0; KeyError with the part that is not there."""
    for part in path.split("."):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            raise KeyError(part)
    return value


def judge(answer: Answer, wanted: Mapping[str, Any]) -> List[str]:
    """What is not as expected: status, headers, body, absent (regular expressions), json (values by path)."""
    problems = []
    if wanted["status"] and answer.status not in wanted["status"]:
        expected = " or ".join(map(str, wanted["status"]))
        problems.append("status {0} instead of {1}".format(answer.status, expected))
    for name, expression in sorted(wanted["headers"].items()):
        value = answer.headers.get(name.lower())
        if value is None:
            problems.append("no header {0}".format(name))
        elif not re.search(expression, value):
            problems.append("header {0} is '{1}', which does not fit '{2}'".format(name, value, expression))
    body = answer.body.decode("utf-8", "replace")
    problems += ["the body has no '{0}'".format(text) for text in wanted["body"] if not re.search(text, body)]
    problems += ["the body has '{0}'".format(text) for text in wanted["absent"] if re.search(text, body)]
    return problems + (_judge_json(body, wanted["json"]) if wanted["json"] else [])


def _judge_json(body: str, wanted: Mapping[str, Any]) -> List[str]:
    try:
        given = json.loads(body)
    except ValueError as error:
        return ["the body is no JSON: {0}".format(error)]
    problems = []
    for path, expected in sorted(wanted.items()):
        try:
            found = look_up(given, path)
        except KeyError as error:
            problems.append("the JSON has no {0} (of {1})".format(error.args[0], path))
            continue
        if found != expected:
            problems.append("{0} is {1} instead of {2}".format(path, json.dumps(found), json.dumps(expected)))
    return problems


def percentiles(milliseconds: Sequence[float]) -> Dict[str, float]:
    """Least, p50, p90, p95, p99 and most, each one of the samples (nearest rank); nothing of no samples."""
    if not milliseconds:
        return {}
    ordered = sorted(milliseconds)
    found = {"min": ordered[0], "max": ordered[-1]}
    for share in PERCENTILES:
        found["p{0}".format(share)] = ordered[max(0, math.ceil(share / 100.0 * len(ordered)) - 1)]
    return {name: round(value, 1) for name, value in found.items()}


def judge_latency(found: Mapping[str, float], most: Mapping[str, float]) -> List[str]:
    """One text for each percentile that is above its limit."""
    return [
        "{0} of the answers' time is {1:g} ms, more than {2:g}".format(name, found[name], float(limit))
        for name, limit in sorted(most.items())
        if name in found and found[name] > float(limit)
    ]


def together(problems: Sequence[str], samples: int) -> List[str]:
    """Each problem once, with how many of the answers had it."""
    counted = Counter(problems)
    if samples == 1:
        return list(counted)
    return ["{0} ({1} of {2} answers)".format(text, number, samples) for text, number in counted.items()]
