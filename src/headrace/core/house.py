"""The house: the process's resources, handed to every verb. It holds no rule; the rooms above keep theirs in `part`."""

import threading
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar, cast

import sqlalchemy as sa

from headrace.core import migrations
from headrace.core.schema import accounts, instance
from headrace.core.settings import SettingError, Settings
from headrace.kit.clock import Clock, Followed
from headrace.kit.database import Database
from headrace.kit.keyring import ACCESS, Keyring, WeakSecretError, read_or_make, strong
from headrace.kit.passwords import Passwords
from headrace.kit.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace.core.limits.windows import Limits
    from headrace.core.metrics import Counters
    from headrace.eventstore.store import Store

CREDENTIAL_EPOCH = "credential_epoch"
FINGERPRINT = "secret_fingerprint"
READ_FINGERPRINT = sa.select(instance.c.value).where(instance.c.key == FINGERPRINT)
READ_EPOCH = sa.select(instance.c.value).where(instance.c.key == CREDENTIAL_EPOCH)
BUMP_EPOCH = (
    sa.update(instance)
    .where(instance.c.key == CREDENTIAL_EPOCH)
    .values(value=sa.cast(sa.cast(instance.c.value, sa.BigInteger) + 1, sa.Text))
)


class Part(Protocol):
    """Memory that one room keeps for one house."""

    def __init__(self, house: "House") -> None: ...


P = TypeVar("P", bound=Part)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class House:
    """Opened once by the process, or by a test. Closed in reverse order of opening."""

    settings: Settings
    clock: Clock
    db: Database
    keyring: Keyring
    tokens: Tokens
    passwords: Passwords
    limits: "Limits"
    store: "Store"
    counters: "Counters"
    parts: dict[type[Any], Any] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    @classmethod
    def open(
        cls,
        settings: Settings,
        *,
        limits: "Limits",
        store: "Store",
        counters: "Counters",
        clock: Clock | None = None,
        passwords: Passwords | None = None,
        db: Database | None = None,
    ) -> Self:
        """Open the metadata database (migrated if it may be) and the keys; what stands above is given.

        The clock is the database's unless one is given. Raises SettingError for a secret that is not the database's.
        """
        with ExitStack() as undo:
            if db is None:
                db = open_database(settings)
                undo.callback(db.close)
            keyring = open_keyring(settings, db)
            undo.pop_all()
        return cls(
            settings=settings,
            clock=clock or db.clock(),
            db=db,
            keyring=keyring,
            tokens=Tokens(keyring.generations(ACCESS)),
            passwords=passwords or Passwords(),
            limits=limits,
            store=store,
            counters=counters,
        )

    def part(self, kind: type[P]) -> P:
        """Return this house's one instance of a room's memory, made at first use."""
        found = self.parts.get(kind)
        if found is None:
            with self.lock:
                found = self.parts.get(kind)
                if found is None:
                    found = self.parts[kind] = kind(self)
        return cast("P", found)

    def keep_time(self) -> None:
        """Set the clock again where it follows the database's; cheap until that is due. Raises UnreachableError."""
        if isinstance(self.clock, Followed):
            self.clock.keep()

    def close(self) -> None:
        """Close the database; the store and the rest are closed by whoever opened them."""
        self.db.close()


class Epoch:
    """The number that every change of a credential, its owner, project or organization raises, in any process."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.seen: tuple[int, str] = (-1, "")

    def now(self) -> str:
        """Return the epoch as of now: the row itself is read only when something was committed since."""
        stamp = self.house.db.stamp()
        seen = self.seen
        if seen[0] == stamp:
            return seen[1]
        with self.house.db.read() as connection:
            epoch: str = connection.execute(READ_EPOCH).scalar_one()
        self.seen = (stamp, epoch)
        return epoch


class Doubts:
    """Who, in this process, lets callers stay on, and asks again whether they may once a credential has changed."""

    def __init__(self, house: House) -> None:
        del house
        self.all: list[Callable[[], None]] = []

    def tell(self) -> None:
        for doubt in self.all:
            doubt()


def bump_epoch(connection: sa.Connection, house: House) -> None:
    """Say, in the transaction of the change, that what is cached about credentials no longer counts."""
    connection.execute(BUMP_EPOCH)
    house.db.after_commit(house.part(Doubts).tell)


def open_database(settings: Settings) -> Database:
    """Open the metadata database. SQLite and an empty PostgreSQL are brought to the newest schema, others refused."""
    db = Database.open(settings.database_url or settings.data / "headrace.db")
    with ExitStack() as undo:
        undo.callback(db.close)
        migrations.prepare(db)
        undo.pop_all()
    return db


def open_keyring(settings: Settings, db: Database) -> Keyring:
    """Take the secret from the settings, else from the file `secret` in the data folder, made at first start.

    The database keeps a fingerprint of its secret, so that no process seals, or judges credentials, under another one.
    """
    path = settings.data / "secret"
    known = fingerprint(db)
    if not settings.secret and not path.exists() and (known or _in_use(db)):
        raise _foreign(settings, f"there is none in {path}")
    keyring = read_keyring(settings)
    newest, *previous = fingerprints(keyring)
    if known != newest:
        _tie(settings, db, newest, previous)
    return keyring


def read_keyring(settings: Settings) -> Keyring:
    path = settings.data / "secret"
    previous = [strong(secret) for secret in settings.secret_previous]
    if settings.secret:
        return Keyring(strong(settings.secret), previous)
    settings.data.mkdir(parents=True, exist_ok=True)
    try:
        return Keyring(read_or_make(path), previous)
    except WeakSecretError as error:
        raise SettingError(f"the instance secret in {path} {error}") from error


def fingerprint(db: Database) -> str | None:
    """Return the fingerprint of the secret under which this database is written; None before the first start."""
    with db.read() as connection:
        return connection.execute(READ_FINGERPRINT).scalar()


def fingerprints(keyring: Keyring) -> list[str]:
    """Return those of the current secret and of the previous ones."""
    return [found.hex() for found in keyring.macs("fingerprint/1", FINGERPRINT)]


def _in_use(db: Database) -> bool:
    with db.read() as connection:
        return connection.execute(sa.select(sa.exists(sa.select(accounts.c.id)))).scalar_one()


def _tie(settings: Settings, db: Database, newest: str, previous: list[str]) -> None:
    """Write the fingerprint down: of the first secret, or of one that takes the place of a previous one."""
    mine = instance.c.key == FINGERPRINT
    with db.write() as connection:
        first = db.insert(instance).values(key=FINGERPRINT, value=newest)
        connection.execute(first.on_conflict_do_nothing(index_elements=[instance.c.key]))
        known = connection.execute(READ_FINGERPRINT).scalar_one()
        if known in previous:
            connection.execute(sa.update(instance).where(mine).values(value=newest))
        elif known != newest:
            place = "HEADRACE_SECRET" if settings.secret else f"the one in {settings.data / 'secret'}"
            raise _foreign(settings, f"{place} is another")


def _foreign(settings: Settings, found: str) -> SettingError:
    return SettingError(
        f"the database is written under a secret that this process has not: {found}; copy the file `secret` of the "
        f"first server's data folder to {settings.data / 'secret'}, or set HEADRACE_SECRET to the same value everywhere"
    )
