"""What runs behind, or inside, the web servers of old servers: held under traffic, and released to either side."""

import json
from pathlib import Path

import pytest
import yaml

from tests.held import assert_whole

SCENARIO = yaml.safe_load((Path(__file__).parent.parent / "molecule.yml").read_text(encoding="utf-8"))
HOSTS = SCENARIO["provisioner"]["inventory"]["host_vars"]
EVERY = [(name, site["name"]) for name, host in HOSTS.items() for site in host["sites"]]
OTHER_PROTOCOL = [("nginx", "fpm"), ("nginx", "uwsgi"), ("apache", "fpm"), ("apache", "wsgi"), ("prefork", "php")]


class Site:
    """A site on its machine, with its flags."""

    def __init__(self, host, machine, site):
        self.host, self.machine, self.name, self.site = host, machine, site["name"], site
        self.runtime, self.state = f"/run/cutover/{self.name}", f"/var/lib/cutover/{self.name}"

    def reset(self):
        # In the order of a release; the valve holds again once its proxy rests.
        self.host.check_output(
            "rm -f %s/near %s/moved %s/valve %s/hold; systemctl stop %s; rm -f %s/environment"
            % (self.runtime, self.state, self.runtime, self.runtime, f"cutover-{self.name}.service", self.runtime)
        )

    def change(self, *wanted):
        for flag, folder in (("hold", self.runtime), ("valve", self.runtime), ("moved", self.state)):
            self.host.check_output("touch" + f" {folder}/{flag}" if flag in wanted else f"rm -f {folder}/{flag}")

    def curl(self, path, options="", name=""):
        command = f"curl -sSk --max-time 10 -w '\\n%{{http_code}}' -H 'Host: {name or self.name}.test' {options}"
        if "://" not in path:
            path = f"http://127.0.0.1{path}"
        text, _newline, status = self.host.check_output(f"{command} '{path}'").rpartition("\n")
        return int(status), json.loads(text) if text.startswith("{") else text

    def held(self, commands, side):
        """What commands print that begin while the site is held, and what of it was printed before the release."""
        self.change("hold", "valve")
        started = " ".join(f"({command}) >/tmp/held.{number} 2>&1 &" for number, command in enumerate(commands))
        self.host.check_output("rm -f /tmp/held.*")
        self.host.run(f"nohup sh -c {quoted(started + ' sleep 9')} >/dev/null 2>&1 & sleep 1.5")
        early = self.host.check_output("cat /tmp/held.*")
        code = (
            "import sys; sys.path.insert(0, '%s/agent.pyz'); "
            "from ansible_collections.ocpizza.cutover.plugins.module_utils import upstreams, valve; "
            "source = upstreams.release_target(upstreams.parse('%s'), %d); "
            "valve.release(valve.Valve('%s', '%s', '%s', '', {'source': source, 'target': '127.0.0.1:%d'}), '%s')"
        ) % (
            self.state,
            self.site["upstream"],
            self.site["port"] + 1000,
            self.name,
            self.runtime,
            self.state,
            self.site["port"] + 1,
            side,
        )
        self.host.check_output(f"python3 -c {quoted(code)}; sleep 1.5")
        return early, [self.host.check_output(f"cat /tmp/held.{number}") for number in range(len(commands))]


def quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"


@pytest.fixture
def site(machines, request):
    name, which = request.param
    one = Site(machines[name], name, next(each for each in HOSTS[name]["sites"] if each["name"] == which))
    yield one
    one.reset()


def on(pairs):
    return pytest.mark.parametrize("site", pairs, indirect=True, ids=["-".join(pair) for pair in pairs])


@on(EVERY)
def test_without_a_flag_the_application_answers_as_before(site):
    status, answer = site.curl("/app/a%20b/%C3%A9/0?x=1", "--data abc")
    assert (status, answer["server"], answer["path"], answer["query"]) == (200, "old", "/app/a b/é/0", "x=1")
    assert (answer["host"], answer["bytes"], answer["method"]) == (f"{site.name}.test", 3, "POST")
    assert site.curl("/static/pizza.txt") == (200, "picture\n")


@on(EVERY)
@pytest.mark.parametrize("side", ["source", "target"])
def test_nothing_fails_in_a_hold_under_traffic_and_nothing_runs_inside_it(site, side):
    plan = {
        "site": site.name,
        "domain": f"{site.name}.test",
        "tls": False,
        "upstream": site.site["upstream"],
        "valve_port": site.site["port"],
        "side": side,
        "near": 4,
    }
    told = json.loads(site.host.check_output(f"python3 /usr/local/lib/clients.py {quoted(json.dumps(plan))}"))
    assert_whole(told, side)


@on(EVERY)
def test_files_and_neighbours_are_not_held(site):
    site.change("hold", "valve")
    assert site.curl("/static/pizza.txt") == (200, "picture\n")
    other = next(name for machine, name in EVERY if name != site.name and machine == site.machine)
    assert site.curl("/app/0", name=other)[1]["server"] == "old"


@on(EVERY)
def test_once_moved_everything_goes_to_the_target_but_who_asks_for_the_old_application(site):
    site.change("moved")
    for path in ("/app/a%20b/%C3%A9/0?x=1", "/static/pizza.txt"):
        status, answer = site.curl(path, "--data abc")
        assert (status, answer["server"], answer["path"]) == (200, "target", path)
        assert answer["headers"]["host"] == f"{site.name}.test"
        assert answer["headers"]["x-forwarded-for"].split(", ")[0] == "127.0.0.1"
    if site.site["upstream"].startswith("unix:"):
        return
    word = site.host.check_output(f"cat {site.state}/asked")
    assert site.curl("/app/0", f"-H 'X-Cutover-Side: {word}'")[1]["server"] == "old"
    assert site.curl("/app/0", "-H 'X-Cutover-Side: source'")[1]["server"] == "target"


@on(OTHER_PROTOCOL)
def test_a_request_that_waited_is_answered_as_if_it_had_come_later(site):
    url = f"-H 'Host: {site.name}.test' 'http://127.0.0.1/app/a%20b/%C3%A9/0?x=1'"
    commands = [f"curl -sS {url}", f"head -c 5000000 /dev/zero | curl -sS --data-binary @- -H 'Expect:' {url}"]
    early, answers = site.held(commands, "source")
    assert early == ""
    for text, size in zip(answers, (0, 5000000)):
        answer = json.loads(text)
        assert (answer["server"], answer["bytes"]) == ("old", size)
        assert (answer["path"], answer["query"], answer["client"]) == ("/app/a b/é/0", "x=1", "127.0.0.1")
        assert answer["method"] == ("POST" if size else "GET")


@on([("nginx", "fpm")])
def test_nginx_lets_nobody_in_by_a_hold(site):
    ask = "curl -sS -H 'Host: fpm.test' -w ' %{http_code}'"
    assert site.curl("/inner/index.php") == (404, "missing\n")
    commands = [f"{ask} http://127.0.0.1/inner/index.php", f"{ask} 'http://127.0.0.1/app/0?odd=1'"]
    _early, (inner, odd) = site.held(commands, "source")
    assert inner == "missing\n 404"
    assert json.loads(odd.rpartition(" ")[0])["server"] == "old"
    for name in ("cutover_fpm_held", "cutover_fpm_target"):
        assert site.curl(f"/{name}")[0] == 404


@on([("nginx", "uwsgi")])
def test_a_locations_rules_count_again_after_a_hold(site):
    assert site.curl("/staff")[0] == 403
    _early, (staff,) = site.held(["curl -sS -w '%{http_code}' -H 'Host: uwsgi.test' http://127.0.0.1/staff"], "source")
    assert staff.endswith("403")


@on([("nginx", "fpm"), ("nginx", "my-gunicorn")])
@pytest.mark.parametrize("side", ["source", "target"])
def test_over_tls_and_http2_as_well(site, side):
    url = f"--resolve {site.name}.test:443:127.0.0.1 https://{site.name}.test/app/0"
    early, texts = site.held([f"curl -sSk --http2 -w '\\n%{{http_version}}' {url}"] * 3, side)
    assert early == ""
    for text in texts:
        answer, _newline, version = text.rpartition("\n")
        assert (json.loads(answer)["server"], version) == ({"source": "old", "target": "target"}[side], "2")
        if side == "source" and site.name == "fpm":
            assert json.loads(answer)["scheme"] == "https"
