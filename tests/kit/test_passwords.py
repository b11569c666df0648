import threading

import argon2
import pytest

from headrace.kit.passwords import COMMON, BusyError, Passwords, acceptable, is_common


@pytest.fixture
def passwords() -> Passwords:
    return Passwords(time_cost=1, memory_kib=8, slots=1)


def test_the_stored_text_is_the_documented_one() -> None:
    stored = Passwords().hash("SecurePass123")
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert len(stored) == 97


@pytest.mark.parametrize("password", ["SecurePass123", " spaces stay ", "Ünïcödé", "x" * 128])
def test_compared_exactly_as_sent(passwords: Passwords, password: str) -> None:
    stored = passwords.hash(password)
    assert passwords.matches(stored, password)
    assert not passwords.matches(stored, password + " ")
    assert not passwords.matches(stored, password.swapcase() + "x")


@pytest.mark.parametrize(
    "stored",
    [
        None,
        "",
        "nonsense",
        "$argon2id$v=19$m=1048576,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g",
        "$argon2id$v=19$m=8,t=11,p=1$c29tZXNhbHRzb21lc2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g",
    ],
)
def test_insane_rows_match_nothing(passwords: Passwords, stored: str | None) -> None:
    assert not passwords.matches(stored, "SecurePass123")


@pytest.mark.parametrize(
    ("password", "good"),
    [("x" * 128, True), ("x" * 129, False), ("€" * 128, True), ("\U0001f600" * 128, True), ("\ud800", False)],
)
def test_what_may_be_hashed(passwords: Passwords, password: str, good: bool) -> None:
    assert acceptable(password) is good
    assert good or not passwords.matches(passwords.hash("other"), password)


def test_old_costs_are_outdated() -> None:
    weak = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("x")
    assert Passwords().outdated(weak)
    assert not Passwords().outdated(Passwords().hash("x"))


def test_the_queue_has_an_end(passwords: Passwords) -> None:
    # One slot and four places to wait are held; the sixth caller is told at once.
    for _ in range(5):
        passwords.queue.acquire()
    with pytest.raises(BusyError):
        passwords.hash("x")
    for _ in range(5):
        passwords.queue.release()
    assert passwords.hash("x")


def test_many_threads_get_their_turn(passwords: Passwords) -> None:
    stored, found = passwords.hash("x"), []
    threads = [threading.Thread(target=lambda: found.append(passwords.matches(stored, "x"))) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 5


@pytest.mark.parametrize(
    ("password", "common"),
    [
        ("Password1", True),
        ("Password123!", True),
        ("P@ssw0rd", True),
        ("Welcome2024", True),
        ("Qwerty123", True),
        ("SecurePass123", False),
        ("Correct7Horse", False),
    ],
)
def test_the_first_guesses_are_known(password: str, common: bool) -> None:
    assert is_common(password) is common


def test_the_list_is_stored_as_it_is_compared() -> None:
    assert all(password == password.lower() for password in COMMON)
