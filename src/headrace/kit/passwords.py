"""Passwords: argon2id hashes, a pool that bounds how many are computed at once, and the commonest passwords.

Which characters a password must have is told in core/rules.py.
"""

import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product

import argon2

# Times were 14 to 16 ms a hash with these; the library's defaults cost 74 ms and four threads.
TIME_COST, MEMORY_KIB = 2, 19_456
# A stored hash states its own cost, and verifying obeys it: no row may ask for more than this.
MOST_MEMORY_KIB, MOST_TIME, MOST_LANES = 131_072, 10, 4
LONGEST, LONGEST_BYTES = 128, 512
WAIT_SECONDS = 2.0

WORDS = (  # noqa: SIM905  As a list it takes 110 lines.
    "password passw0rd p@ssword p@ssw0rd pa$$word welcome qwerty qwertyuiop asdfghjkl iloveyou letmein monkey dragon "
    "sunshine princess football baseball basketball superman batman spiderman pokemon starwars trustno1 whatever "
    "michael michelle jennifer jessica charlie jordan daniel thomas andrew matthew joshua ashley amanda nicole hunter "
    "shadow master killer summer winter spring autumn january february march april august september october november "
    "december monday friday admin admin1 administrator root login access hello freedom changeme change secret test "
    "testing default computer internet samsung google facebook linkedin microsoft liverpool chelsea arsenal barcelona "
    "london america canada flower butterfly chocolate cookie ginger pepper purple orange abc abcd abc123 a1b2c3 aa "
    "qwe qweasd qweasdzxc zxcvbnm 1q2w3e 1q2w3e4r 1qaz 1qaz2wsx zaq1 zaq12wsx q1w2e3r4 q1w2e3"
).split()
ENDINGS = (
    "", "0", "1", "2", "3", "5", "7", "9", "01", "10", "11", "12", "13", "21", "22", "23", "69", "77", "88", "99",
    "00", "007", "101", "111", "123", "234", "321", "666", "777", "1234", "12345", "123456", "1234567", "12345678",
    "123456789", "4321", "2000", "2010", "2015", *map(str, range(2018, 2031)), "@1", "@12", "@123", "@1234", "#123",
)  # fmt: skip
MARKS = "!.?@#$*"
COMMON = frozenset(f"{word}{ending}" for word, ending in product(WORDS, ENDINGS))


class BusyError(Exception):
    """More passwords wait to be hashed than the pool allows; ask again in two seconds."""


def is_common(password: str) -> bool:
    """Tell whether this is one of the first guesses: a common word and ending, in any case, with any marks behind."""
    return password.lower().rstrip(MARKS) in COMMON


class Passwords:
    """Hashes and compares. `slots` hashes run at once, four times as many wait, none longer than two seconds.

    Called from worker threads only: the permit is held by the thread that hashes, so a client that hangs up frees none.
    """

    def __init__(self, *, time_cost: int = TIME_COST, memory_kib: int = MEMORY_KIB, slots: int | None = None) -> None:
        slots = slots or os.cpu_count() or 1
        self.hasher = argon2.PasswordHasher(
            time_cost=time_cost, memory_cost=memory_kib, parallelism=1, hash_len=32, salt_len=16
        )
        self.running = threading.BoundedSemaphore(slots)
        self.queue = threading.BoundedSemaphore(slots * 5)
        # An unknown account costs what a known one costs.
        self.dummy = self.hasher.hash(secrets.token_urlsafe(24))

    def hash(self, password: str) -> str:
        with self._permit():
            return self.hasher.hash(password)

    def matches(self, stored: str | None, password: str) -> bool:
        """Compare exactly as sent. None, an insane row or an overlong password takes the same time and is no match."""
        usable = stored is not None and _sane(stored) and acceptable(password)
        with self._permit():
            try:
                self.hasher.verify(stored if usable and stored else self.dummy, password if usable else "")
                return usable
            except argon2.exceptions.VerificationError:
                return False

    def outdated(self, stored: str) -> bool:
        return self.hasher.check_needs_rehash(stored)

    @contextmanager
    def _permit(self) -> Iterator[None]:
        if not self.queue.acquire(blocking=False):
            raise BusyError
        try:
            if not self.running.acquire(timeout=WAIT_SECONDS):
                raise BusyError
            try:
                yield
            finally:
                self.running.release()
        finally:
            self.queue.release()


def acceptable(password: str) -> bool:
    """Tell whether a password may be hashed at all: 128 characters or fewer, 512 bytes or fewer, real Unicode."""
    if len(password) > LONGEST:
        return False
    try:
        return len(password.encode()) <= LONGEST_BYTES
    except UnicodeEncodeError:  # A lone surrogate.
        return False


def _sane(stored: str) -> bool:
    try:
        cost = argon2.extract_parameters(stored)
    except argon2.exceptions.InvalidHashError:
        return False
    return cost.memory_cost <= MOST_MEMORY_KIB and cost.time_cost <= MOST_TIME and cost.parallelism <= MOST_LANES
