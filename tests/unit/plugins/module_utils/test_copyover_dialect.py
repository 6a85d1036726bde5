"""MariaDB's definitions for MySQL: what is changed, and that nothing in quotes ever is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ocpizza.cutover.plugins.module_utils import copyover_dialect as dialect

DEFAULTS = {"utf8mb4": "utf8mb4_general_ci", "latin1": "latin1_swedish_ci", "utf8": "utf8_general_ci"}


def converted(line: str) -> str:
    return dialect.table(line, DEFAULTS)


@pytest.mark.parametrize(
    ("given_line", "wanted"),
    [
        # MySQL would take its own default collation where none is named.
        (
            ") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4",
            ") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE utf8mb4_general_ci",
        ),
        ("  `a` varchar(9) CHARACTER SET latin1", "  `a` varchar(9) CHARACTER SET latin1 COLLATE latin1_swedish_ci"),
        (
            "  `a` varchar(9) CHARACTER SET utf8 COLLATE utf8_bin",
            "  `a` varchar(9) CHARACTER SET utf8mb3 COLLATE utf8mb3_bin",
        ),
        (") DEFAULT CHARSET=utf8", ") DEFAULT CHARSET=utf8mb3 COLLATE utf8mb3_general_ci"),
        (
            ") DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_uca1400_ai_ci",
            ") DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci",
        ),
        ("  `a` text COLLATE utf8mb4_unicode_ci", "  `a` text COLLATE utf8mb4_unicode_ci"),
        ("  `a` longtext NOT NULL DEFAULT 'it''s'", "  `a` longtext NOT NULL DEFAULT ('it''s')"),
        ("  `a` text DEFAULT NULL", "  `a` text DEFAULT NULL"),
        ("  `a` varchar(9) DEFAULT 'x'", "  `a` varchar(9) DEFAULT 'x'"),
        ("  `a` text COMMENT ' DEFAULT ''x'' '", "  `a` text COMMENT ' DEFAULT ''x'' '"),
        ("  `a` char(36) DEFAULT uuid(),", "  `a` char(36) DEFAULT (uuid()),"),
        (
            "  `a` char(36) DEFAULT concat(')',lower('A')) COMMENT 'b',",
            "  `a` char(36) DEFAULT (concat(')',lower('A'))) COMMENT 'b',",
        ),
        ("  `a` datetime DEFAULT current_timestamp()", "  `a` datetime DEFAULT current_timestamp()"),
        ("  `a` int(11) DEFAULT (1 + 2)", "  `a` int(11) DEFAULT (1 + 2)"),
        (") ENGINE=InnoDB PAGE_CHECKSUM=1 TRANSACTIONAL=1 COMMENT='x'", ") ENGINE=InnoDB COMMENT='x'"),
    ],
)
def test_a_line(given_line: str, wanted: str) -> None:
    assert converted(given_line) == wanted


def test_names_and_comments_that_look_like_sql_stay() -> None:
    statement = (
        "CREATE TABLE `CHARSET=utf8` (\n  `x DEFAULT uuid()` int(11) COMMENT 'CHARACTER SET utf8 COLLATE utf8_bin',\n"
        "  `y` int /*!100301 COMPRESSED*/ COMMENT 'a \\' PAGE_CHECKSUM=1'\n)"
    )
    assert converted(statement) == statement


# A server writes a line end within a text as \\n.
LETTERS = st.characters(exclude_characters="\n")
QUOTES = st.one_of(
    st.text(LETTERS).map(lambda text: "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"),
    st.text(LETTERS, min_size=1).map(lambda text: "`" + text.replace("`", "``") + "`"),
)
WORDS = st.sampled_from(
    [" DEFAULT ", " text ", " CHARACTER SET utf8 ", " COLLATE utf8_bin ", ",\n  ", " PAGE_CHECKSUM=1", " uuid() ", "("]
)


@given(st.lists(st.one_of(QUOTES, WORDS), max_size=12))
def test_what_is_quoted_is_never_changed(parts: list[str]) -> None:
    # Between two texts, or they would be one.
    statement = " ".join(parts)
    assert dialect.QUOTED.findall(converted(statement)) == dialect.QUOTED.findall(statement)


def test_modes_that_mysql_does_not_know_are_left_out() -> None:
    assert dialect.modes("STRICT_TRANS_TABLES,NO_AUTO_CREATE_USER,NO_ENGINE_SUBSTITUTION") == (
        "STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION"
    )
    assert dialect.modes("") == ""
