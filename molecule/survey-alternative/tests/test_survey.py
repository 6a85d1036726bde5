"""A server with next to nothing on it, read without the right to look into others' processes."""

import json
import os
from pathlib import Path

FOLDER = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "elsewhere"
REPORT = json.loads((FOLDER / "report.json").read_text(encoding="utf-8"))


def test_what_is_not_there_is_not_made_up(host):
    assert (REPORT["vhosts"], REPORT["databases"], REPORT["applications"]) == ([], [], [])
    assert REPORT["drafts"] == {"sites": [], "others": []}
    assert not (FOLDER / "sites").exists()
    assert REPORT["system"]["release"]["end_of_life"] == "2030-06-30"


def test_the_owner_of_a_socket_that_may_not_be_looked_into_is_not_known(host):
    odd = next(one for one in REPORT["system"]["listening"] if one["port"] == 8088)
    assert (odd["pid"], odd["name"], odd["unit"]) == ("", "", "")
    assert any(text.startswith("who listens on ") for text in REPORT["not_read"])


def test_what_could_not_be_asked_is_listed(host):
    assert "the firewall: neither iptables-save nor nft answers" in REPORT["not_read"]
    assert "neither iptables-save nor nft answers" in (FOLDER / "report.html").read_text(encoding="utf-8")
