# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run leaves on the controller: the journal and the evidence are read here, the report is written."""

import json
import os
import tempfile
from typing import Any, Dict

from ansible_collections.ocpizza.cutover.plugins.module_utils import journal
from ansible_collections.ocpizza.cutover.plugins.module_utils.report import build_report

JOURNAL = "journal.jsonl"
REPORT = "report.json"
EVIDENCE = ("plan", "switchover", "rollback", "restart", "proof", "traffic", "findings")


def _load(path: str) -> Any:
    with open(path, encoding="utf-8") as stream:
        return json.load(stream)


def read_evidence(run_dir: str) -> Dict[str, Any]:
    """The pieces of evidence that are there; what cannot be read is named under ``unreadable``."""
    evidence: Dict[str, Any] = {}
    unreadable: Dict[str, str] = {}
    for name in EVIDENCE:
        try:
            evidence[name] = _load(os.path.join(run_dir, name + ".json"))
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            unreadable[name] = str(error)
    if unreadable:
        evidence["unreadable"] = unreadable
    return evidence


def site_of(run_dir: str) -> str:
    """The site that the last report names, else the name of the directory, which is the site's by default."""
    try:
        site = _load(os.path.join(run_dir, REPORT))["site"]
    except (OSError, ValueError, KeyError, TypeError):
        site = None
    return site if isinstance(site, str) and site else os.path.basename(os.path.abspath(run_dir))


def make_report(run_dir: str, site: str = "") -> Dict[str, Any]:
    """The report of the run in this directory; nothing is written."""
    evidence = read_evidence(run_dir)
    evidence["site"] = site or site_of(run_dir)
    return build_report(journal.read_events(os.path.join(run_dir, JOURNAL)), evidence)


def render(report: Dict[str, Any]) -> str:
    """The report as the text of its file."""
    return json.dumps(report, indent=2, ensure_ascii=False) + "\n"


def write_report(run_dir: str, report: Dict[str, Any]) -> bool:
    """Put the report in its place whole, readable by all; True if that changed the file."""
    path = os.path.join(run_dir, REPORT)
    text = render(report)
    try:
        with open(path, encoding="utf-8") as stream:
            if stream.read() == text:
                return False
    except (OSError, ValueError):
        pass
    handle, aside = tempfile.mkstemp(prefix=".report-", dir=run_dir)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(aside, 0o644)
        os.rename(aside, path)
    except OSError:
        os.unlink(aside)
        raise
    return True
