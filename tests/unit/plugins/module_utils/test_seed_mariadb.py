"""The first copy: real commands stand for the two ends."""

import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ocpizza.cutover.plugins.module_utils import seed
from ansible_collections.ocpizza.cutover.plugins.module_utils.seed import SeedFailed

HEAD = "-- head\nSET GLOBAL gtid_slave_pos='0-1-5,1-2-3';\n"
TAIL = "-- Dump completed on 2026-05-01\n"


def python(code: str) -> list[str]:
    return [sys.executable, "-S", "-c", code]


def dump(text: str) -> list[str]:
    return ["printf", "%s", text]


def stream(giving: list[str], taking: list[str]) -> tuple[Any, list[tuple[int, int]]]:
    seen: list[tuple[int, int]] = []
    found = seed.stream(giving, taking, lambda done, total: seen.append((done, total)), 10)
    return found, seen


@pytest.mark.parametrize(
    ("head", "position"),
    [
        (b"SET GLOBAL gtid_slave_pos='0-1-5';", "0-1-5"),
        (b"-- x\n-- SET GLOBAL gtid_slave_pos='0-1-5,1-2-3';", "0-1-5,1-2-3"),
        (b"SET GLOBAL gtid_slave_pos='';", None),
        (b"INSERT INTO t VALUES ('SET GLOBAL gtid_slave_pos=''0-1-5'';');", None),
        (b"SET GLOBAL gtid_slave_pos='0-1", None),
        (b"gtid_slave_pos='0-1-5; DROP'", None),
        (b"", None),
    ],
)
def test_the_position_of_a_dump(head: bytes, position: str | None) -> None:
    assert seed.position_in(head) == position


def test_the_position_may_be_named_at_the_end_of_the_dump(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seed, "CHUNK", 7)
    text = "-- head\n" + "INSERT 1;\n" * 50 + "-- SET GLOBAL gtid_slave_pos='0-1-5';\n" + TAIL
    found, _seen = stream(dump(text), ["cat"])
    assert found == ("0-1-5", len(text))


def test_a_whole_dump_arrives(tmp_path: Path) -> None:
    text = HEAD + "INSERT 'é';\n" + TAIL
    found, seen = stream(dump(text), ["tee", str(tmp_path / "loaded")])
    assert found == ("0-1-5,1-2-3", len(text.encode()))
    assert (tmp_path / "loaded").read_text() == text
    # The total is a guess, and never less than what went over.
    assert seen[-1] == (len(text.encode()), len(text.encode()))


def test_a_large_dump_is_told_as_it_goes() -> None:
    code = f"import sys; w = sys.stdout.write; w({HEAD!r}); w('x' * 3 * {seed.CHUNK}); w({TAIL!r})"
    (position, sent), seen = stream(python(code), ["cat"])
    assert position == "0-1-5,1-2-3"
    assert len(seen) == 4
    assert [done for done, _total in seen] == sorted(done for done, _total in seen)
    assert seen[-1][0] == sent == 3 * seed.CHUNK + len(HEAD + TAIL)


@pytest.mark.parametrize("before", [0, 100, seed.CHUNK - len(HEAD) // 2, 2 * seed.CHUNK])
def test_a_position_is_found_wherever_a_version_writes_it(before: int) -> None:
    code = f"import sys; w = sys.stdout.write; w('x' * {before}); w('\\n'); w({HEAD!r}); w('y' * 9000); w({TAIL!r})"
    assert stream(python(code), ["cat"])[0][0] == "0-1-5,1-2-3"


@pytest.mark.parametrize(
    ("giving", "taking", "words"),
    [
        (dump(HEAD), ["cat"], "the dump ended without its closing line"),
        (dump(TAIL), ["cat"], "the dump names no GTID position; is the binary log on?"),
        (["sh", "-c", "echo gone away >&2; exit 2"], ["cat"], "the dump on the source failed: gone away"),
        (dump(HEAD + TAIL), ["sh", "-c", "cat; echo no space >&2; exit 1"], "loading on the target failed: no space"),
        (dump(HEAD + TAIL), ["sh", "-c", "echo denied >&2; exit 1"], "loading on the target failed: denied"),
    ],
)
def test_a_copy_that_is_not_whole_fails_in_words(giving: list[str], taking: list[str], words: str) -> None:
    with pytest.raises(SeedFailed) as raised:
        stream(giving, taking)
    assert str(raised.value) == words


def test_a_load_that_stops_reading_ends_the_dump() -> None:
    endless = python("import sys\nwhile True: sys.stdout.write('x' * 65536)")
    with pytest.raises(SeedFailed, match="loading on the target failed: disk full"):
        stream(endless, ["sh", "-c", "head -c 10; echo disk full >&2; exit 1"])


def test_a_load_that_ends_early_without_an_error_is_no_success() -> None:
    endless = python("import sys\nwhile True: sys.stdout.write('x' * 65536)")
    with pytest.raises(SeedFailed, match="loading on the target ended before the dump did"):
        stream(endless, ["sh", "-c", "exit 0"])


@pytest.mark.parametrize("end", ["giving", "taking"])
def test_many_warnings_do_not_stop_the_copy(end: str) -> None:
    warn = "import sys; sys.stderr.write('warning\\n' * 40000); "
    giving = python(warn + f"sys.stdout.write({HEAD + TAIL!r})") if end == "giving" else dump(HEAD + TAIL)
    taking = python(warn + "sys.stdin.read()") if end == "taking" else ["cat"]
    assert stream(giving, taking)[0][0] == "0-1-5,1-2-3"


class FakeServer:
    """Answers what the copy asks; remembers what it changes."""

    def __init__(self, position: str | None = None, tables: tuple[str, ...] = (), seeding: bool = False) -> None:
        self.name, self.schema, self.databases = "cutover_shop", "`cutover_shop`", ["shop", "my`db"]
        self.position, self.present, self.seeding = position, tables, seeding
        self.changes: list[str] = []

    def make_schema(self) -> None:
        self.changes.append("make_schema")

    def mark(self, token: str) -> str:
        self.changes.append("mark")
        return "0-1-1"

    def unlogged(self, *statements: str) -> None:
        self.changes += statements

    def drop_fence(self) -> None:
        self.changes.append("drop_fence")

    def tables(self) -> list[dict[str, str]]:
        return [{"db": "shop", "tbl": table} for table in self.present]

    def rows(self, statement: str, arguments: Any = ()) -> list[dict[str, Any]]:
        if "SELECT position" in statement:
            return [] if self.position is None else [{"position": self.position}]
        return [{"table_name": "seeding"}] if self.seeding else []

    def value(self, statement: str, arguments: Any = ()) -> int:
        return 1000


def copy(source: FakeServer, target: FakeServer, text: str = HEAD + TAIL) -> dict[str, Any]:
    return seed.seed(source, target, dump(text), ["cat"], lambda _done, _total: None)  # type: ignore[arg-type]


def test_the_copy_marks_its_beginning_and_its_end() -> None:
    source, target = FakeServer(), FakeServer()
    result = copy(source, target)
    assert (result["changed"], result["position"], result["bytes"]) == (True, "0-1-5,1-2-3", len(HEAD + TAIL))
    # The marker gives the snapshot a position even where the binary log was turned on a moment ago.
    assert source.changes == ["drop_fence", "make_schema", "mark"]
    assert target.changes[2:] == [
        "CREATE TABLE IF NOT EXISTS `cutover_shop`.seeding (id TINYINT PRIMARY KEY)",
        "DROP DATABASE IF EXISTS `shop`",
        "DROP DATABASE IF EXISTS `my``db`",
        "REPLACE INTO `cutover_shop`.seed VALUES (1, '0-1-5,1-2-3', UTC_TIMESTAMP(6))",
        "DROP TABLE `cutover_shop`.seeding",
    ]


@pytest.mark.parametrize("position", ["0-1-5", ""])
def test_a_copy_that_completed_is_not_made_again(position: str) -> None:
    source, target = FakeServer(), FakeServer(position, ("orders",))
    assert copy(source, target) == {"changed": False, "position": position}
    assert source.changes == []
    assert not [change for change in target.changes if "DROP" in change]


def test_tables_that_it_did_not_bring_are_never_written_over() -> None:
    target = FakeServer(tables=("a", "b", "c", "d", "e", "f"))
    with pytest.raises(SeedFailed) as raised:
        copy(FakeServer(), target)
    assert str(raised.value) == (
        "the target already has shop.a, shop.b, shop.c, shop.d, shop.e; the copy never writes over tables that it "
        "did not bring. Drop the database on the target, or name another one"
    )
    assert not [change for change in target.changes if "DROP" in change]


def test_a_copy_that_was_cut_off_begins_anew() -> None:
    target = FakeServer(tables=("orders",), seeding=True)
    assert copy(FakeServer(), target)["changed"] is True
    assert "DROP DATABASE IF EXISTS `shop`" in target.changes


def test_a_copy_that_fails_is_not_complete() -> None:
    target = FakeServer()
    with pytest.raises(SeedFailed, match="closing line"):
        copy(FakeServer(), target, HEAD)
    assert target.changes[-1] == "DROP DATABASE IF EXISTS `my``db`"
