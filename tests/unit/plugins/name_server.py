# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A name server on the loopback address."""

from __future__ import annotations

import socketserver
import threading

import dns.flags
import dns.message
import dns.rcode
import dns.rrset


class NameServer(socketserver.ThreadingUDPServer):
    """``records`` has lines of a zone; a ``code`` is answered instead, and a silent one answers nothing."""

    daemon_threads = True

    def __init__(
        self, *records: str, authority: bool = False, code: int = dns.rcode.NOERROR, silent: bool = False
    ) -> None:
        self.records = list(records)
        self.authority, self.code, self.silent = authority, code, silent
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                data, client = self.request
                if not outer.silent:
                    client.sendto(outer.reply(dns.message.from_wire(data)).to_wire(), self.client_address)

        super().__init__(("127.0.0.1", 0), Handler)
        self.name = f"127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def reply(self, query: dns.message.Message) -> dns.message.Message:
        answer = dns.message.make_response(query)
        answer.set_rcode(self.code)
        if self.authority:
            answer.flags |= dns.flags.AA
        name, kind = query.question[0].name.to_text(), dns.rdatatype.to_text(query.question[0].rdtype)
        for _turn in range(5):
            alias = ""
            for line in self.records:
                owner, ttl, what, value = line.split()
                if owner == name and what in (kind, "CNAME"):
                    answer.answer.append(dns.rrset.from_text(owner, int(ttl), "IN", what, value))
                    alias = value if what == "CNAME" else alias
            if not alias:
                break
            name = alias
        return answer

    def close(self) -> None:
        self.shutdown()
        self.server_close()
