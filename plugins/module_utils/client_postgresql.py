# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL's own programs on its own host, as its own superuser: nothing is installed and no password is needed."""

# ruff: noqa: S608 - names are made by format(), the rest is constant

import json
from typing import Any, Dict, List, NamedTuple, Optional

from ansible_collections.ocpizza.cutover.plugins.module_utils.table_counts import RefusedError

# Whatever the host's locale is, names arrive as they are.
ENVIRONMENT = {"PGCLIENTENCODING": "UTF8", "LC_MESSAGES": "C"}
# Where the superuser may be: PostgreSQL's programs warn where they may not read the current folder.
FOLDER = "/"


class Cluster(NamedTuple):
    """A server of this host, as Debian's pg_lsclusters tells."""

    version: str
    name: str
    port: int
    status: str

    def label(self) -> str:
        """As Debian's tools name it."""
        return "{0}/{1}".format(self.version, self.name)


def parse_clusters(text: str) -> List[Cluster]:
    """The lines of pg_lsclusters --no-header."""
    found = []
    for line in text.split("\n"):
        words = line.split()
        if len(words) >= 4 and words[2].isdigit():
            found.append(Cluster(words[0], words[1], int(words[2]), words[3]))
    return found


def choose_cluster(clusters: List[Cluster], port: int) -> Cluster:
    """The cluster that listens on a port and runs, or one clear refusal."""
    for cluster in clusters:
        if cluster.port == port:
            if not cluster.status.startswith("online"):
                raise RefusedError(
                    "cluster {0} on port {1} is {2}; start it: systemctl start postgresql@{3}-{4}".format(
                        cluster.label(), port, cluster.status, cluster.version, cluster.name
                    )
                )
            return cluster
    there = ", ".join("{0} on {1}".format(cluster.label(), cluster.port) for cluster in clusters)
    raise RefusedError("no cluster uses port {0}; there is {1}".format(port, there or "none"))


def connection_string(database: str) -> str:
    """A database as libpq reads it; a bare name that holds '=' or looks like a URI would be taken for more."""
    return "dbname='{0}'".format(database.replace("\\", "\\\\").replace("'", "\\'"))


def literal(text: str) -> str:
    """A string as SQL, whatever is in it and whatever standard_conforming_strings says."""
    return "E'{0}'".format(text.replace("\\", "\\\\").replace("'", "\\'"))


def identifier(name: str) -> str:
    """A name as SQL."""
    return '"{0}"'.format(name.replace('"', '""'))


class Client:
    """One server of this host, found by its port."""

    def __init__(self, module: Any, port: int = 5432, socket: Optional[str] = None) -> None:
        self.module = module
        self.where = ["--port={0}".format(port)]
        if not module.get_bin_path("psql"):
            raise RefusedError("there is no psql on this host; install PostgreSQL, or correct the site's engine")
        if socket:
            self.where.insert(0, "--host={0}".format(socket))
            return
        lister = module.get_bin_path("pg_lsclusters")
        if lister:
            code, output, error = module.run_command([lister, "--no-header"])
            if code != 0:
                raise RefusedError(error.strip())
            # By its cluster and not by its port: Debian's wrapper then takes the programs of the right version.
            self.where = ["--cluster={0}".format(choose_cluster(parse_clusters(output), port).label())]

    def command(self, program: str, *arguments: str) -> List[str]:
        """A program of PostgreSQL as the superuser; PostgreSQL knows it by the name of the system's user."""
        path = self.module.get_bin_path(program)
        if not path:
            raise RefusedError("there is no {0} on this host".format(program))
        return ["runuser", "-u", "postgres", "--", path, *self.where, "--no-password", *arguments]

    def offline(self, program: str, *arguments: str) -> List[str]:
        """A program that asks no server, of this one's version."""
        return [*self.command(program)[4:-1], *arguments]

    def ask(self, script: str, database: str = "postgres") -> List[List[Any]]:
        """The rows of JSON that a script gives."""
        quiet = ["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1"]
        code, output, error = self.module.run_command(
            self.command("psql", *quiet, "--dbname=" + connection_string(database), "--file=-"),
            data=script,
            cwd=FOLDER,
            environ_update=ENVIRONMENT,
        )
        if code != 0:
            raise RefusedError(_words(error))
        # Not splitlines: it would also break at separators that JSON leaves in a name.
        return [json.loads(line) for line in output.split("\n") if line.startswith("[")]

    def count(self, database: str) -> Dict[str, int]:
        """Exact numbers of rows by table."""
        return {table: int(rows) for table, rows in self.ask(COUNT, database)}


def _words(error: str) -> str:
    """What psql said, without where in its input it stood."""
    lines = [line for line in error.strip().split("\n") if line]
    return " ".join(line.partition("ERROR:  ")[2] or line for line in lines)


# Tables of extensions come with the extension and not with the dump.
TABLES = r"""
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass
                   AND d.objid = c.oid AND d.deptype = 'e')
"""
COUNT = (
    r"""
SELECT format('SELECT json_build_array(%L, count(*)) FROM ONLY %I.%I', format('%I.%I', n.nspname, c.relname),
              n.nspname, c.relname)"""
    + TABLES
    + r"""   AND c.relkind = 'r' ORDER BY 1
\gexec
"""
)
