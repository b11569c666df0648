"""The disk's watermark: refusing at the limit, taking again well below it, looking not too often."""

from pathlib import Path

import msgspec
import pytest

from headrace.eventstore.disk import Disk


class Space(msgspec.Struct):
    f_blocks: int
    f_bfree: int
    f_bavail: int


class Machine:
    """A disk of 1,000 blocks and a clock."""

    def __init__(self, reserved: int = 0) -> None:
        self.percent, self.now, self.looks, self.reserved = 0.0, 0.0, 0, reserved

    def look(self, _folder: Path) -> Space:
        self.looks += 1
        free = round((1000 - self.reserved) * (1 - self.percent / 100))
        return Space(1000, free + self.reserved, free)

    def seconds(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("levels", "states"),
    [
        ([50, 79, 80, 89, 94], ["ok", "ok", "warn", "warn", "warn"]),
        ([94, 95, 94, 91, 90, 89, 94, 96], ["warn", "refuse", "refuse", "refuse", "refuse", "warn", "warn", "refuse"]),
        ([100, 10], ["refuse", "ok"]),
    ],
)
def test_refusing_and_taking_again(levels: list[int], states: list[str], tmp_path: Path) -> None:
    machine = Machine()
    disk = Disk(tmp_path, look=machine.look, seconds=machine.seconds)
    seen = []
    for machine.percent in levels:
        machine.now += 1
        seen.append(disk.state)
        assert (disk.refusing is not None) == (seen[-1] == "refuse")
    assert seen == states


def test_the_reason_has_the_figures(tmp_path: Path) -> None:
    machine = Machine()
    machine.percent = 97
    disk = Disk(tmp_path, refuse_percent=96, look=machine.look, seconds=machine.seconds)
    assert disk.refusing == "the disk is 97 % full; ingest resumes below 91 %"


def test_the_disk_is_looked_at_twice_a_second_at_most(tmp_path: Path) -> None:
    machine = Machine()
    disk = Disk(tmp_path, look=machine.look, seconds=machine.seconds)
    for _ in range(1000):
        assert disk.refusing is None
        machine.now += 0.01
    assert machine.looks <= 21


def test_what_is_kept_for_root_is_not_free(tmp_path: Path) -> None:
    machine = Machine(reserved=100)
    machine.percent = 96
    assert Disk(tmp_path, look=machine.look, seconds=machine.seconds).state == "refuse"


def test_a_real_disk(tmp_path: Path) -> None:
    assert Disk(tmp_path).state in {"ok", "warn", "refuse"}
