"""The filters on virtual hosts."""

import base64

from ansible_collections.ocpizza.cutover.plugins.filter import vhosts
from ansible_collections.ocpizza.cutover.plugins.module_utils import nginx_valve, vhost_edit

CONTENT = "<VirtualHost *:80>\r\nServerName café.example\r\n</VirtualHost>\n"


def test_the_filters_by_name() -> None:
    filters = vhosts.FilterModule().filters()
    assert filters["add_include"] is vhost_edit.add_include
    assert filters["without_include"] is vhosts.without_include


def test_files_of_a_site_get_the_include_and_those_of_others_do_not() -> None:
    texts = {"/etc/a.conf": CONTENT, "/etc/b.conf": CONTENT.replace("café.example", "annex.example")}
    slurped = [{"item": path, "content": base64.b64encode(text.encode()).decode()} for path, text in texts.items()]
    edited = vhost_edit.add_include(CONTENT, ["café.example"], "/etc/x.conf")
    found = vhosts.with_include(slurped, ["café.example"], "/etc/x.conf")
    assert found == [{"path": "/etc/a.conf", "content": edited}]
    # Once more, with what is there by now.
    slurped[0]["content"] = base64.b64encode(edited.encode()).decode()
    assert vhosts.with_include(slurped, ["café.example"], "/etc/x.conf") == found


def test_files_that_were_read_come_out_without_the_include() -> None:
    edited = vhost_edit.add_include(CONTENT, ["café.example"], "/etc/x.conf")
    assert edited != CONTENT
    slurped = [{"item": "/etc/a.conf", "content": base64.b64encode(edited.encode()).decode()}]
    assert vhosts.without_include(slurped, "/etc/x.conf") == [{"path": "/etc/a.conf", "content": CONTENT}]


def test_files_of_nginx_get_the_valve_and_lose_it_again() -> None:
    shop = "server {\nlocation / { proxy_pass http://café; }\nlocation /a { proxy_pass http://b; }\n}\n"
    texts = {"/a": shop, "/b": "server {\nlocation ~ x { include p; }\n}\n", "/shared": "proxy_pass http://c;\n"}
    held = {"line": 2, "file": "/a", "problem": "", "beside": "", "changed": {}}
    location = {"line": 9, "file": "/p", "problem": "", "changed": {"file": "/b", "line": 2, "opens": "~ x"}}
    found = {
        "vhosts": [{"file": "/a", "line": 1}, {"file": "/b", "line": 1}],
        "passes": [
            held,
            {**held, "line": 3, "problem": "goes elsewhere"},
            {**held, "line": 1, "file": "/shared"},
            location,
        ],
    }

    def slurped(files: dict[str, str]) -> list[dict[str, str]]:
        return [
            {"item": path, "content": base64.b64encode(text.encode()).decode()} for path, text in sorted(files.items())
        ]

    edited = {each["path"]: each["content"] for each in vhosts.with_nginx_valve(slurped(texts), "shop", found)}
    assert edited["/a"] == nginx_valve.add(shop, "shop", [1], {2: ""}, True)
    assert edited["/b"] == nginx_valve.add(texts["/b"], "shop", [1], {}, False, [(2, "~ x")])
    assert "_held last; } include p; }" in edited["/b"]
    assert edited["/shared"] == nginx_valve.add(texts["/shared"], "shop", [], {1: ""}, False)
    again = {each["path"]: each["content"] for each in vhosts.with_nginx_valve(slurped(edited), "shop", found)}
    assert again == edited
    out = {each["path"]: each["content"] for each in vhosts.without_nginx_valve(slurped(edited), "shop")}
    assert out == texts
