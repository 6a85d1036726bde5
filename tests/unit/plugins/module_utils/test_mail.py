# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a server sends and takes mail."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.ocpizza.cutover.plugins.module_utils import mail


def test_mail_that_waits(tmp_path: Path) -> None:
    assert mail.queued(str(tmp_path)) == 0
    for name in (
        "postfix/deferred/A/A1B2C3",
        "postfix/active/D4E5F6",
        "postfix/defer/A/A1B2C3",
        "exim4/input/1abc-0001-AB-H",
        "exim4/input/1abc-0001-AB-D",
        "mqueue/qfABC",
        "mqueue/dfABC",
    ):
        (tmp_path / "var/spool" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "var/spool" / name).write_text("")
    assert mail.queued(str(tmp_path)) == 4


def test_how_mail_is_sent() -> None:
    texts = {
        mail.POSTFIX: "# x\nrelayhost = [mail.example]:587\nmydestination = a.example, localhost\n",
        "/etc/aliases": "# x\nroot: shop@a.example\npostmaster: root\n",
        "/etc/msmtprc": "password cheese\n",
    }
    listening = [{"protocol": "tcp", "port": 25, "address": "127.0.0.1", "name": "master"}]
    found = mail.look(lambda path: texts.get(path, ""), listening)
    assert found == {
        "services": [{"service": "smtp", "name": "master", "public": False}],
        "relay": "[mail.example]:587",
        "domains": "a.example, localhost",
        "aliases": 2,
        "senders": ["/etc/msmtprc"],
    }
