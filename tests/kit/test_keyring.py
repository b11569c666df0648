import threading
from pathlib import Path

import pytest

from headrace.kit.keyring import BrokenSealError, Keyring, WeakSecretError, read_or_make, strong

OLD, NEW = b"o" * 16 + bytes(range(16)), b"n" * 16 + bytes(range(16))


def test_keys_differ_by_purpose_and_secret() -> None:
    ring, other = Keyring(OLD), Keyring(NEW)
    macs = {ring.mac("a/1", "text"), ring.mac("b/1", "text"), other.mac("a/1", "text"), ring.mac("a/1", "texts")}
    assert len(macs) == 4
    assert ring.mac("a/1", "text") == Keyring(OLD).mac("a/1", "text")


def test_a_previous_secret_still_verifies_and_opens() -> None:
    sealed = Keyring(OLD).seal(b"whsec", "table|column|1|1")
    ring = Keyring(NEW, [OLD])
    assert ring.unseal(sealed, "table|column|1|1") == b"whsec"
    assert Keyring(OLD).mac("a/1", "text") in ring.macs("a/1", "text")
    assert ring.macs("a/1", "text")[0] == Keyring(NEW).mac("a/1", "text")
    with pytest.raises(BrokenSealError):
        Keyring(NEW).unseal(sealed, "table|column|1|1")


def test_a_seal_belongs_to_its_place() -> None:
    ring = Keyring(OLD)
    sealed = ring.seal(b"plain", "table|column|1|1")
    assert b"plain" not in sealed
    for wrong in (sealed[:-1] + bytes([sealed[-1] ^ 1]), sealed):
        with pytest.raises(BrokenSealError):
            ring.unseal(wrong, "table|column|1|1" if wrong is not sealed else "table|column|2|1")


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "short",
        "a" * 64,
        "change-me-" * 4,
        "ababababababababababababababababab",
        "your-secret-0123456789-0123456789",
    ],
)
def test_weak_secrets_are_refused(secret: str) -> None:
    with pytest.raises(WeakSecretError):
        strong(secret)


def test_the_file_is_made_once_with_narrow_rights(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(read_or_make(path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) == {read_or_make(path)}
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]
