"""The states of an alert, against a plain model that knows the whole past instead of a standing."""

import re
from pathlib import Path

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.alerts import machine
from headrace.core.alerts.machine import EVENTS, STATES, TRANSITIONS, Standing, step
from headrace.kit import times

DOCUMENT = Path(__file__).parents[2] / "docs" / "alerts.md"
Past = list[tuple[int, bool]]


def modelled(past: Past, for_us: int, cool_us: int) -> list[str]:
    """Return the state after each evaluation, by looking back over all of them each time."""
    found: list[str] = []
    for place, (now, holds) in enumerate(past):
        before = found[-1] if found else "ok"
        ends = [past[i][0] for i in range(1, place) if found[i] == "resolved" and found[i - 1] == "firing"]
        if before == "resolved" and now - ends[-1] < cool_us:
            found.append("resolved")
        elif not holds:
            found.append("resolved" if before == "firing" else "ok")
        else:
            # The run of evaluations that found it, without those that cooled down.
            start = now
            for i in range(place - 1, -1, -1):
                cooled = found[i] == "resolved"
                if not past[i][1] or cooled:
                    break
                start = past[i][0]
            found.append("firing" if before == "firing" or now - start >= for_us else "pending")
    return found


PASTS = st.lists(st.tuples(st.integers(1, 300), st.booleans()), max_size=40)


@given(gaps=PASTS, for_seconds=st.integers(0, 400), cool_down=st.integers(0, 600))
def test_steps_are_those_of_the_model(gaps: list[tuple[int, bool]], for_seconds: int, cool_down: int) -> None:
    past: Past = []
    now = 0
    for gap, holds in gaps:
        now += gap * times.SECOND
        past.append((now, holds))
    standing, states = Standing(state="ok", since=0), []
    for at, holds in past:
        after = step(standing, holds=holds, now=at, for_seconds=for_seconds, cool_down_seconds=cool_down)
        assert after.since == (standing.since if after.state == standing.state else at)
        standing = after
        states.append(standing.state)
    assert states == modelled(past, for_seconds * times.SECOND, cool_down * times.SECOND)


def test_every_state_says_what_follows() -> None:
    assert {state for state, _ in TRANSITIONS} == set(STATES) == set(TRANSITIONS.values())
    for state in STATES:
        assert {event for one, event in TRANSITIONS if one == state} >= set(EVENTS) - {machine.COOLING}


def test_the_document_has_the_same_table() -> None:
    lines = DOCUMENT.read_text().splitlines()
    head = next(number for number, line in enumerate(lines) if line.startswith("| state | `cooling` |"))
    names = re.findall(r"`(\w+)`", lines[head])
    table: dict[tuple[str, str], str] = {}
    for line in lines[head + 2 : head + 2 + len(STATES)]:
        state, *cells = (cell.strip().strip("`") for cell in line.strip("|").split("|"))
        table |= {(state, name): cell for name, cell in zip(names, cells, strict=True) if cell}
    assert table == TRANSITIONS
    for name, meaning in EVENTS.items():
        assert f"`{name}`: {meaning}" in DOCUMENT.read_text()


def test_a_standing_is_a_plain_record() -> None:
    standing = step(Standing(state="ok", since=0), holds=True, now=5, for_seconds=0, cool_down_seconds=0)
    assert msgspec.structs.asdict(standing) == {"state": "firing", "since": 5, "held_since": 5, "resolved_at": None}
