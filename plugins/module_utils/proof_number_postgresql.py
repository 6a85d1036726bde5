# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A number of 64 bits for a row of PostgreSQL's, made by the server's own hashes and without printing most values.

Each value is hashed with what came before as its seed, so that no order or exchange of values goes unseen. The
functions are there since PostgreSQL 11. Were two versions to compute them differently, chunks would differ, and then
their rows, which are compared by MD5, would not.
"""

from typing import List, Sequence, Tuple

# The MD5 of the row's text, for older versions and for encodings other than UTF-8; or what this page describes.
MD5 = "md5"
NUMBER = "number"
# The functions for eight bytes fold them to four first, and 1 would be 2^32: here each half is hashed. Within an
# hour no two timestamps fold to the same, 2^32 microseconds being longer: the hour is hashed as well. Of a numeric
# neither sign nor scale is hashed, of a float not the sign of zero, so that they are printed, as is whatever is not
# named here.
_BIGINT = (
    "hashint4extended(((coalesce({0},0)::bigint<<32)>>32)::integer,"
    "hashint4extended((coalesce({0},0)::bigint>>32)::integer,{1}))"
)
_TIMESTAMP = "timestamp_hash_extended(date_trunc('hour',{0}),timestamp_hash_extended({0},{1}))"
_FAST = {
    16: "hashint4extended(coalesce({0},false)::integer,{1})",
    20: _BIGINT,
    21: _BIGINT,
    23: _BIGINT,
    25: "hashtextextended(coalesce({0},'') COLLATE \"C\",{1})",
    1043: "hashtextextended(coalesce({0},'') COLLATE \"C\",{1})",
    1114: _TIMESTAMP.replace("{0}", "coalesce({0},'epoch')"),
    1184: _TIMESTAMP.replace("{0}", "(coalesce({0},'epoch') AT TIME ZONE 'UTC')"),
    2950: "uuid_hash_extended(coalesce({0},'00000000-0000-0000-0000-000000000000'),{1})",
}
_NULL = "hashint4extended(({0} IS NULL)::integer,{1})"
# Calls within calls take of the server's stack.
_MOST = 64


def fast(oid: int) -> str:
    """How a value of the type with this number is hashed, with a seed; empty where it has to be printed."""
    return _FAST.get(oid, "")


def row_text(names: Sequence[str]) -> str:
    """The text of a record of these columns, which are quoted."""
    return "ROW({0})::text".format(",".join(names))


def number(columns: Sequence[Tuple[str, str, bool]], digest: str) -> str:
    """The expression for a row of columns: how each is hashed (or empty), its quoted name, whether it may be NULL."""
    if digest == MD5:
        return "('x'||left(md5(convert_to({0},'UTF8')),16))::bit(64)::bigint".format(
            row_text([name for _form, name, _nullable in columns])
        )
    printed: List[str] = []
    expression = "0"
    for place, (form, name, nullable) in enumerate(columns):
        if not form or place >= _MOST:
            printed.append(name)
            continue
        expression = form.format(name, expression)
        if nullable:
            expression = _NULL.format(name, expression)
    if printed or not columns:
        expression = 'hashtextextended({0} COLLATE "C",{1})'.format(row_text(printed), expression)
    return expression
