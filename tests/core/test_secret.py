"""The secret belongs to the database: whoever opens it with another one is refused, before anything is sealed."""

from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from headrace.core.house import FINGERPRINT, House, open_keyring
from headrace.core.schema import instance
from headrace.core.settings import SettingError, Settings
from tests.conftest import SECRET, SignUp

OTHER = "another-0f3c5a7d9b1e2468ace02468ace13579"


def known(house: House) -> str | None:
    with house.db.read() as connection:
        return connection.execute(sa.select(instance.c.value).where(instance.c.key == FINGERPRINT)).scalar()


def forget(house: House) -> None:
    with house.db.write() as connection:
        connection.execute(sa.delete(instance).where(instance.c.key == FINGERPRINT))


def test_another_secret_is_refused(house: House, settings: Settings) -> None:
    first = known(house)
    assert first is not None
    assert SECRET not in first
    open_keyring(settings, house.db)
    with pytest.raises(SettingError, match="HEADRACE_SECRET is another; copy the file `secret`"):
        open_keyring(msgspec.structs.replace(settings, secret=OTHER), house.db)
    assert known(house) == first


def test_a_new_secret_comes_with_the_previous_one(house: House, settings: Settings) -> None:
    first = known(house)
    open_keyring(msgspec.structs.replace(settings, secret=OTHER, secret_previous=(SECRET,)), house.db)
    assert known(house) != first
    with pytest.raises(SettingError, match="is another"):
        open_keyring(settings, house.db)


def test_no_secret_is_made_beside_a_database_that_has_one(house: House, settings: Settings, tmp_path: Path) -> None:
    elsewhere = msgspec.structs.replace(settings, secret="", data=tmp_path / "elsewhere")
    with pytest.raises(SettingError, match="there is none in"):
        open_keyring(elsewhere, house.db)
    assert not (elsewhere.data / "secret").exists()


def test_a_database_of_an_earlier_release_takes_the_secret_that_is_there(
    house: House, settings: Settings, tmp_path: Path, sign_up: SignUp
) -> None:
    sign_up(house)
    forget(house)
    elsewhere = msgspec.structs.replace(settings, secret="", data=tmp_path / "elsewhere")
    with pytest.raises(SettingError, match="there is none in"):
        open_keyring(elsewhere, house.db)
    assert known(house) is None
    open_keyring(settings, house.db)
    assert known(house) is not None
