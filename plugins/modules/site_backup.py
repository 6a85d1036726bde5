# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backs up a site's databases and configuration on its host."""

DOCUMENTATION = r"""
---
module: site_backup
short_description: Back up a site's databases and configuration
description:
  - Dumps each database of each engine from one consistent snapshot, compressed, and archives the configuration. A
    file takes its name only when it is complete. Run it as root, which becomes C(postgres) for PostgreSQL.
  - Does nothing where a complete backup younger than O(max_age) is there.
version_added: "0.1.0"
author: The ocpizza.cutover team
attributes:
  check_mode:
    support: full
    description: Tells whether a backup would be made.
  diff_mode:
    support: none
    description: A backup says nothing to a reader of a diff.
options:
  directory:
    description: Folder for the backup; made with mode 0700.
    type: path
    required: true
  engines:
    description: The databases by engine, which is C(mariadb), C(mysql) or C(postgresql).
    type: dict
    required: true
  paths:
    description: Files and folders of the configuration; those that are not there are left out.
    type: list
    elements: path
    default: []
  max_age:
    description: Age in seconds up to which a backup that is there is kept.
    type: int
    default: 86400
  ports:
    description: Port of the PostgreSQL server as C(postgresql), where it is not the usual one.
    type: dict
    default: {}
  sockets:
    description: >-
      Sockets of the servers by engine, for PostgreSQL its folder; what each client has in its configuration by
      default.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Back up the site
  ocpizza.cutover.site_backup:
    directory: /var/backups/cutover/ocpizza
    engines: {mariadb: [ocpizza], postgresql: [stock]}
    paths: [/etc/apache2, /etc/supervisor]
"""

RETURN = r"""
manifest:
  description: >-
    What the backup holds, C(created) in seconds since 1970, for each database C(engine), C(database), C(path),
    C(bytes), C(sha256), C(charset) and C(rows), the fewest and the most rows of each table while it was made, and the
    configuration's archive.
  type: dict
  returned: success
reason:
  description: Why a backup was made, or why not.
  type: str
  returned: success
"""

import json  # noqa: E402
import os  # noqa: E402
import time  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

from ansible_collections.ocpizza.cutover.plugins.module_utils import backup_engines, backup_files  # noqa: E402
from ansible_collections.ocpizza.cutover.plugins.module_utils.table_counts import RefusedError  # noqa: E402

ENGINES = ("mariadb", "mysql", "postgresql")


def wanted(engines):
    """Engine and database of all that is to be dumped, in an order that stays."""
    return [(engine, database) for engine in sorted(engines) for database in engines[engine]]


def existing(path, params):
    """The manifest of a backup that is complete and wanted, and why another one is needed otherwise."""
    try:
        with open(path, encoding="utf-8") as stream:
            manifest = json.load(stream)
        age = time.time() - float(manifest["created"])
        names = [(one["engine"], one["database"]) for one in manifest["databases"]]
        files = [(one["path"], one["bytes"]) for one in [*manifest["databases"], manifest["configuration"]]]
    except (OSError, ValueError, KeyError, TypeError):
        return None, "there is no backup yet"
    if age > params["max_age"]:
        return None, "the backup is {0:.0f} s old".format(age)
    if names != wanted(params["engines"]):
        return None, "the backup is of other databases"
    for name, size in files:
        if not os.path.exists(name) or os.path.getsize(name) != size:
            return None, "{0} is not what was written".format(name)
    return manifest, "a complete backup is {0:.0f} s old".format(age)


def make(module):
    """Write everything, the manifest last."""
    params = module.params
    # What is above may be passed: the dumps are fetched by who logs in.
    mask = os.umask(0o022)
    os.makedirs(os.path.dirname(params["directory"]), exist_ok=True)
    os.umask(mask)
    os.makedirs(params["directory"], mode=0o700, exist_ok=True)
    os.chmod(params["directory"], 0o700)
    manifest = {"created": time.time(), "databases": []}
    for number, (engine, database) in enumerate(wanted(params["engines"])):
        server = backup_engines.provider(
            module, engine, int(params["ports"].get(engine, 0)), params["sockets"].get(engine)
        )
        path = os.path.join(params["directory"], "database-{0}.{1}".format(number, server.form.suffix))
        before = server.count(database)
        written = server.dump(database, path)
        after = server.count(database)
        rows = {table: [before.get(table, 0), count] for table, count in after.items()}
        manifest["databases"].append(
            dict(written._asdict(), engine=engine, database=database, rows=rows, charset=server.charset(database))
        )
    archive = os.path.join(params["directory"], "configuration.tar.gz")
    manifest["configuration"] = dict(backup_files.write_archive(params["paths"], archive)._asdict())
    aside = os.path.join(params["directory"], ".manifest.json")
    with open(aside, "w", encoding="utf-8") as stream:
        json.dump(manifest, stream)
    os.rename(aside, os.path.join(params["directory"], "manifest.json"))
    return manifest


def main():
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "engines": {"type": "dict", "required": True},
            "paths": {"type": "list", "elements": "path", "default": []},
            "max_age": {"type": "int", "default": 86400},
            "ports": {"type": "dict", "default": {}},
            "sockets": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    unknown = sorted(set(module.params["engines"]) - set(ENGINES))
    if unknown:
        module.fail_json(msg="engines has {0}; there are {1}.".format(", ".join(unknown), ", ".join(ENGINES)))
    os.umask(0o077)
    manifest, reason = existing(os.path.join(module.params["directory"], "manifest.json"), module.params)
    if manifest or module.check_mode:
        module.exit_json(changed=not manifest, manifest=manifest or {}, reason=reason)
    try:
        manifest = make(module)
    except (backup_files.IncompleteError, RefusedError, OSError) as error:
        module.fail_json(
            msg="The backup into {0} failed: {1}. Nothing that was there was replaced by something incomplete.".format(
                module.params["directory"], error
            )
        )
    module.exit_json(changed=True, manifest=manifest, reason=reason)


if __name__ == "__main__":
    main()
