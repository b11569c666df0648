"""The wheel: built, installed into an empty environment, it serves. Its libraries come from this environment."""

import json
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.program.conftest import Served

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = "from hatchling.build import build_wheel; import sys; print(build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, str(folder)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.splitlines()[-1]


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("headrace/")}
    source = ROOT / "src"
    files = {str(path.relative_to(source)) for path in (source / "headrace").rglob("*") if path.is_file()}
    assert packed == {name for name in files if "__pycache__" not in name}


def test_the_wheel_serves(
    wheel: Path, tmp_path: Path, serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)  # It may name this checkout.
    empty = tmp_path / "empty"
    uv = str(Path(sys.executable).with_name("uv"))
    for arguments in (
        ["venv", "--quiet", "--python", sys.executable, str(empty)],
        ["pip", "install", "--quiet", "--offline", "--no-deps", "--python", str(empty / "bin" / "python"), str(wheel)],
    ):
        subprocess.run([uv, *arguments], check=True, capture_output=True)
    packages = next((empty / "lib").glob("python*/site-packages"))
    # After the wheel on the path, and a .pth in it is not followed: the editable install of this checkout stays out.
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    where = subprocess.run(
        [empty / "bin" / "python", "-c", "import headrace; print(headrace.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(where.stdout.strip()).is_relative_to(empty)
    served = serve(program=empty / "bin" / "headrace")
    status, body = served.get("/health")
    assert (status, json.loads(body)["status"]) == (200, "healthy")
    assert served.stop() == 0
