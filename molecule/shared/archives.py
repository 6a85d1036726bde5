"""Makes the archives that the database scenarios load or must refuse: archives.py FOLDER ENGINE."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

KEY = {"mysql": "INT AUTO_INCREMENT PRIMARY KEY", "postgresql": "INT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"}
SCHEMA = """-- The schema
CREATE TABLE ranks (id {key}, name VARCHAR(40) NOT NULL);
CREATE TABLE staff (id {key}, ranks_id INT NOT NULL REFERENCES ranks (id), name VARCHAR(40));
"""
PRESETS = """INSERT INTO ranks (name) VALUES ('cook');
INSERT INTO ranks (name) VALUES ('Chef de cuisine, première classe');
"""
BROKEN = PRESETS + "INSERT INTO nowhere (name) VALUES ('lost');\n" + PRESETS  # noqa: S608
ESCAPE = {"mysql": "system touch /root/escaped\n", "postgresql": "\\! touch /tmp/escaped\n"}


def write(path: Path, members: dict[str, str]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(zipfile.ZipInfo(name), text)


def main(folder: Path, engine: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    schema = SCHEMA.format(key=KEY[engine])
    write(folder / "good.zip", {"ocpizza_dump.sql": schema, "base_data.sql": PRESETS})
    write(folder / "broken.zip", {"ocpizza_dump.sql": schema, "base_data.sql": BROKEN})
    write(folder / "escape.zip", {"ocpizza_dump.sql": schema, "base_data.sql": PRESETS + ESCAPE[engine]})
    write(folder / "outside.zip", {"ocpizza_dump.sql": schema, "base_data.sql": PRESETS, "../../etc/motd": "no"})
    write(folder / "lacking.zip", {"ocpizza_dump.sql": schema})
    data = bytearray((folder / "good.zip").read_bytes())
    place = data.index(b"CREATE TABLE staff")
    data[place : place + 6] = b"create"
    (folder / "corrupt.zip").write_bytes(data)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
