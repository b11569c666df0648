import pytest

from headrace.kit import keyring, keys

LETTERS = "0123456789abcdefghijklmnopqrstuvw"


@pytest.mark.parametrize(
    ("body", "key", "shown", "mac"),
    [
        (
            "ldg_proj_1_" + "a" * 33,
            "ldg_proj_1_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1xub3vh",
            "ldg_proj_1_aaaaaa",
            "fc7eaa36b25d5bc397d3d9185f098d06630c2a7b19ed1dece4ce40b2f30cf72f",
        ),
        (
            "vetrai_" + LETTERS,
            "vetrai_0123456789abcdefghijklmnopqrstuvw0evbvng",
            "vetrai_0...vng",
            "8c2eb8e42b66e5040553cda0cd59fc2102e4ff0bda059d42f4bef9a16b29d401",
        ),
        ("hrt_" + "a" * 33, "hrt_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa01ucp29", None, None),
    ],
)
def test_fixed_vectors(body: str, key: str, shown: str | None, mac: str | None) -> None:
    assert keys.checked(body) == key
    assert shown is None or keys.shown(key) == shown
    assert mac is None or keyring.mac(bytes(32), key).hex() == mac


def test_each_kind_is_known_by_its_form() -> None:
    project, organization = keys.project_key(7), keys.organization_key()
    assert keys.kind_of(project) == "project"
    assert keys.kind_of(keys.canonical(project.replace("ldg_", "ledger_"))) == "project"
    assert keys.kind_of(organization) == "organization"
    assert keys.kind_of("x" * 16) == "imported"
    assert keys.INGEST.fullmatch(keys.ingest_key())
    assert keys.REFRESH.fullmatch(keys.refresh_token())
    assert all(keys.PUBLISHED.fullmatch(key) for key in (project, organization, keys.refresh_token()))


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "short",
        "with spaces in it, long enough",
        "x" * 257,
        "schlüssel-mit-umlaut",
        "ldg_proj_1_a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6q7r8s9t0",
        "ldg_" + "a" * 40,
        "vetrai_" + "a" * 40,
        "hrt_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa01ucp29",
        "ldg_proj_1_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1xub3vh\n",
    ],
)
def test_what_is_no_key(secret: str) -> None:
    assert keys.kind_of(keys.canonical(secret)) is None


def test_one_changed_character_breaks_the_checksum() -> None:
    key = keys.project_key(1)
    for place in range(len("ldg_proj_1_"), len(key)):
        other = "b" if key[place] == "a" else "a"
        assert keys.kind_of(key[:place] + other + key[place + 1 :]) is None
