# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers of a server in a file, to be compared when that server is gone: a line of JSON each, compressed."""

import base64
import gzip
import json
import os
import zlib
from typing import Dict, List, NamedTuple

from ansible_collections.ocpizza.cutover.plugins.module_utils.answers import Answer


class Timed(NamedTuple):
    """An answer and the milliseconds that it took."""

    answer: Answer
    ms: float


def write(path: str, host: str, found: Dict[str, Timed]) -> None:
    """Keep the answers of a host by their paths; the file is there whole or not at all, and its owner's alone."""
    lines: List[Dict[str, object]] = [{"host": host, "answers": len(found)}]
    lines += [
        {
            "path": asked,
            "status": one.answer.status,
            "headers": one.answer.headers,
            "cookies": one.answer.cookies,
            "body": base64.b64encode(one.answer.body).decode("ascii"),
            "ms": round(one.ms, 1),
        }
        for asked, one in found.items()
    ]
    text = "".join(json.dumps(line, sort_keys=True) + "\n" for line in lines)
    made = path + ".new"
    with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
        stream.write(gzip.compress(text.encode("utf-8")))
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(made, path)


def read(path: str, host: str) -> Dict[str, Timed]:
    """What was kept. Raises ValueError where the file is damaged, or has the answers of another host."""
    try:
        with gzip.open(path, "rb") as stream:
            lines = [json.loads(line.decode("utf-8")) for line in stream]
        head, rest = lines[0], lines[1:]
        found = {
            line["path"]: Timed(
                Answer(line["status"], line["headers"], base64.b64decode(line["body"]), tuple(line["cookies"])),
                float(line["ms"]),
            )
            for line in rest
        }
        kept = (head["host"], head["answers"])
    except (OSError, EOFError, zlib.error, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError("{0} cannot be read as a record of answers: {1}".format(path, error)) from None
    if kept[0] != host:
        raise ValueError("{0} has the answers of {1}, not of {2}".format(path, kept[0], host))
    if kept[1] != len(found):
        raise ValueError("{0} has {1} of {2} answers".format(path, len(found), kept[1]))
    return found
