# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that may be in a database, and one change to each thing that the proof has to name."""

# ruff: noqa: S608 - the statements are constants of this file

from __future__ import annotations

from collections.abc import Callable
from typing import Any

FAMILY = """
CREATE TABLE things (id INT PRIMARY KEY, v INT, word VARCHAR(20) COLLATE utf8mb4_bin COMMENT 'its word',
  twice INT AS (v * 2) STORED, CONSTRAINT small CHECK (v < 1000 AND v IS NOT NULL)) COMMENT 'some things';
CREATE TABLE of_things (id INT PRIMARY KEY, a INT, b INT, UNIQUE (a), UNIQUE (b));
CREATE TABLE tied (id INT PRIMARY KEY, a INT, CONSTRAINT tie FOREIGN KEY (a) REFERENCES of_things (a));
CREATE TABLE parted (id INT NOT NULL, y INT NOT NULL, PRIMARY KEY (id, y)) PARTITION BY RANGE (y)
  (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN MAXVALUE);
CREATE TABLE old (id INT PRIMARY KEY) ENGINE=MyISAM;
INSERT INTO old VALUES (1);
INSERT INTO parted VALUES (1, 1), (2, 20);
CREATE VIEW few AS SELECT t.id, COALESCE(t.word, CONCAT('é', t.v)) AS word, COUNT(*) AS n FROM things t
  LEFT JOIN of_things o ON o.a = t.id WHERE (t.v > 0 AND t.id BETWEEN 1 AND 9) OR t.word LIKE 'x%%' GROUP BY t.id;
CREATE VIEW checked AS SELECT id, v FROM things WHERE v > 0 WITH CASCADED CHECK OPTION;
CREATE TRIGGER touched BEFORE UPDATE ON things FOR EACH ROW SET NEW.v = NEW.v;
CREATE PROCEDURE take(IN x INT, word VARCHAR(20)) COMMENT 'takes' SELECT x, word;
CREATE FUNCTION half(x INT) RETURNS INT DETERMINISTIC RETURN x DIV 2;
CREATE EVENT tidy ON SCHEDULE EVERY 1 DAY STARTS '2020-01-01 00:00:00' DO DELETE FROM things WHERE id < 0;
CREATE EVENT stopped ON SCHEDULE EVERY 1 DAY STARTS '2020-01-01 00:00:00' DISABLE DO DELETE FROM things WHERE id < 0
"""
SEQUENCE = "CREATE SEQUENCE numbers START WITH 5 INCREMENT BY 2"
NOBODY = "DEFINER=nobody@nowhere"
# Each to the target alone, and how the difference is told.
CHANGES = {
    "ALTER DATABASE COLLATE utf8mb4_unicode_ci": "database {0} is 'utf8mb4 ",
    "ALTER TABLE things COMMENT 'others'": "table things is",
    "ALTER TABLE things MODIFY word VARCHAR(20) COLLATE utf8mb4_bin COMMENT 'none'": "column things.word is",
    "ALTER TABLE things DROP CONSTRAINT small": "check things.small is missing on the target",
    "ALTER TABLE parted REMOVE PARTITIONING": "partition parted.p1 is missing",
    "ALTER TABLE tied DROP FOREIGN KEY tie; "
    "ALTER TABLE tied ADD CONSTRAINT tie FOREIGN KEY (a) REFERENCES of_things (b)": "foreign key tied.tie is",
    f"CREATE OR REPLACE {NOBODY} VIEW checked AS SELECT id, v FROM things WHERE v > 0 WITH CASCADED CHECK OPTION": (
        "view checked is"
    ),
    "CREATE OR REPLACE VIEW few AS SELECT 1 AS id, 'x' AS word, 2 AS n": "view few is",
    f"DROP TRIGGER touched; CREATE {NOBODY} TRIGGER touched BEFORE UPDATE ON things FOR EACH ROW SET NEW.v = NEW.v": (
        "trigger touched is"
    ),
    "DROP PROCEDURE take; CREATE PROCEDURE take(IN x BIGINT, word VARCHAR(20)) COMMENT 'takes' SELECT x, word": (
        "parameter PROCEDURE take.1 is"
    ),
    f"DROP FUNCTION half; CREATE {NOBODY} FUNCTION half(x INT) RETURNS INT DETERMINISTIC RETURN x DIV 2": (
        "routine FUNCTION half is"
    ),
    "ALTER EVENT tidy ON SCHEDULE EVERY 1 DAY STARTS '2020-01-01 00:00:01'": "event tidy is",
    "ALTER EVENT stopped ENABLE": "event stopped is",
}
SEQUENCE_CHANGE = {"ALTER SEQUENCE numbers INCREMENT BY 3": "sequence numbers is"}

POSTGRESQL = """
CREATE SCHEMA "Own";
CREATE DOMAIN "Own".amount AS numeric CHECK (VALUE >= 0);
CREATE COLLATION "Own".numeric (provider = icu, locale = 'en-u-kn-true');
CREATE TABLE "Own".things (id int PRIMARY KEY, v int CONSTRAINT small CHECK (v < 1000), word text, kind text,
  twice int GENERATED ALWAYS AS (v * 2) STORED);
INSERT INTO "Own".things VALUES (1, 1, 'a', 'b');
COMMENT ON TABLE "Own".things IS 'some things';
COMMENT ON COLUMN "Own".things.word IS 'its word';
CREATE STATISTICS "Own".together (dependencies) ON word, kind FROM "Own".things;
CREATE MATERIALIZED VIEW "Own".counted AS SELECT count(*) FROM "Own".things;
CREATE RULE quiet AS ON DELETE TO "Own".things WHERE OLD.id < 0 DO INSTEAD NOTHING;
CREATE FUNCTION "Own".half(x int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT x / 2';
CREATE AGGREGATE "Own".total (int) (sfunc = int4pl, stype = int, initcond = '0');
CREATE OPERATOR "Own".%%% (LEFTARG = int, RIGHTARG = int, FUNCTION = int4pl);
CREATE TEXT SEARCH CONFIGURATION "Own".plain (COPY = simple);
CREATE VIEW "Own".few AS SELECT id, v FROM "Own".things WHERE v > 0;
SELECT lo_from_bytea(4711, 'large');
ALTER DEFAULT PRIVILEGES IN SCHEMA "Own" GRANT SELECT ON TABLES TO PUBLIC;
CREATE SEQUENCE "Own".numbers INCREMENT 2
"""
POSTGRESQL_CHANGES = {
    'GRANT USAGE ON SCHEMA "Own" TO PUBLIC': 'schema schema."Own" is',
    'GRANT SELECT (v) ON "Own".things TO PUBLIC': 'column "Own".things.v is',
    'ALTER DEFAULT PRIVILEGES IN SCHEMA "Own" REVOKE SELECT ON TABLES FROM PUBLIC': (
        'default privileges "default privileges"."proof Own".r is missing'
    ),
    'COMMENT ON COLUMN "Own".things.word IS NULL': 'comment comment."column word of table ""Own"".things" is missing',
    'ALTER DOMAIN "Own".amount DROP CONSTRAINT amount_check': 'constraint "Own".amount.amount_check is missing',
    'REVOKE USAGE ON TYPE "Own".amount FROM PUBLIC': 'type "Own".amount is',
    'DROP COLLATION "Own".numeric': 'collation "Own"."numeric" is missing',
    'DROP STATISTICS "Own".together': 'statistics "Own".together is missing',
    'DROP RULE quiet ON "Own".things': 'rule "Own".things.quiet is missing',
    'ALTER TABLE "Own".things DROP CONSTRAINT small': 'constraint "Own".things.small is missing',
    'DROP AGGREGATE "Own".total (int)': 'routine "Own".total(',
    'DROP OPERATOR "Own".%%% (int, int)': "object object.",
    'DROP MATERIALIZED VIEW "Own".counted': 'table "Own".counted is missing',
    'CREATE OR REPLACE VIEW "Own".few AS SELECT id, v FROM "Own".things WHERE v > 1': 'view "Own".few is',
    "SELECT lo_put(4711, 0, 'L')": 'large objects "large objects"."all" is',
    'ALTER SEQUENCE "Own".numbers INCREMENT 3': 'sequence "Own".numbers is',
    'GRANT SELECT ON "Own".things TO PUBLIC': 'table "Own".things is',
}


def is_seen(name: str, run: Callable[..., None], compare: Callable[[], dict[str, Any]], named: dict[str, str]) -> None:
    """Equal before; each change to the target is named. ``run`` changes the target, ``name`` is the database's."""
    before = compare()
    assert (before["verdict"], before["schema_differences"]) == ("PASSED", []), before
    for statements in named:
        run(*statements.split("; "))
    found = compare()["schema_differences"]
    missed = [text for text in named.values() if not any(one.startswith(text.format(name)) for one in found)]
    assert missed == [], found
