"""The filters on virtual hosts."""

import base64

from ansible_collections.ocpizza.cutover.plugins.filter import vhosts
from ansible_collections.ocpizza.cutover.plugins.module_utils import vhost_edit

CONTENT = "<VirtualHost *:80>\r\nServerName café.example\r\n</VirtualHost>\n"


def test_the_filters_by_name() -> None:
    filters = vhosts.FilterModule().filters()
    assert filters["add_include"] is vhost_edit.add_include
    assert filters["without_include"] is vhosts.without_include


def test_files_that_were_read_come_out_without_the_include() -> None:
    edited = vhost_edit.add_include(CONTENT, ["café.example"], "/etc/x.conf")
    assert edited != CONTENT
    slurped = [{"item": "/etc/a.conf", "content": base64.b64encode(edited.encode()).decode()}]
    assert vhosts.without_include(slurped, "/etc/x.conf") == [{"path": "/etc/a.conf", "content": CONTENT}]
