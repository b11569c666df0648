"""`make bench`: measures the real server on this machine and prints one table. Nothing here passes or fails."""

import argparse
import json
import os
import platform
import sys
import tempfile
from pathlib import Path

from bench import ingest, intake, isolation, jobs, livetail, search, table, webhooks
from bench.place import MANY, Place, Section, say
from bench.server import end_on_sigterm

# In the order of the table. To add one: a module with `measure(place)`, which yields `table.Row`s, and a line here.
SECTIONS = (
    Section("ingest", ingest.measure),
    Section("search", search.measure),
    Section("isolation", isolation.measure),
    Section("tail", livetail.measure),
    Section("intake", intake.measure),
    Section("jobs", jobs.measure),
    Section("webhooks", webhooks.measure),
)
NAMES = ", ".join(section.name for section in SECTIONS)


def chosen(names: str) -> list[Section]:
    wanted = set(filter(None, names.split(",")))
    unknown = wanted - {section.name for section in SECTIONS}
    if unknown:
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))} unknown; sections are {NAMES}")
    return [section for section in SECTIONS if not wanted or section.name in wanted]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="100,000 logs: to try the bench, not the server")
    parser.add_argument("--only", type=chosen, default=chosen(""), metavar="SECTION[,SECTION]", help=f"of {NAMES}")
    parser.add_argument("--rows", type=int, default=0, metavar="N", help="then load N logs in all, and query again")
    parser.add_argument("--big", action="store_true", help=f"the same as --rows {MANY}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too, in SI units")
    parser.add_argument("--folder", type=Path, help="an empty folder on the disk to measure; default: a temporary one")
    given = parser.parse_args()
    end_on_sigterm()
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    rows = []
    with tempfile.TemporaryDirectory(prefix="headrace-bench-", dir=given.folder) as folder:
        place = Place(Path(folder), quick=given.quick, rows=MANY if given.big else given.rows)
        try:
            for section in given.only:
                say(section.name)
                rows += section.measure(place)
        finally:
            place.end()
    table.show(rows, f"Headrace on {machine}")
    if given.json:
        given.json.write_text(json.dumps({"machine": machine, "figures": table.as_json(rows)}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
