"""The state machine of jobs against a plain model: random operations of many hands, a fake clock, both databases."""

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from headrace.core import jobs
from headrace.core.house import House
from headrace.core.jobs import leases
from headrace.core.jobs.states import FINAL, HELD, MOVES
from headrace.core.limits.windows import Limits
from headrace.core.metrics import Counters
from headrace.core.refusals import Refusal
from headrace.core.settings import Settings
from headrace.kit import times
from headrace.kit.database import Database
from headrace.kit.passwords import Passwords
from tests.conftest import SECRET, FakeClock, empty
from tests.core.jobs_lab import ADA, Hand, add, nothing, now

TRIES = 3
WAIT = 10.0
LEASE = 24 * times.SECOND
Worker = st.integers(0, 2)


@dataclasses.dataclass
class Expected:
    """What the model thinks of one job."""

    state: str
    run_at: int
    attempt: int = 0
    tries: int = TRIES
    worker: int | None = None
    lease_until: int = 0
    ends: int = 0


class Jobs(RuleBasedStateMachine):
    """Each rule does one thing to the engine and to the model; the invariant compares them."""

    place: Any = None
    passwords: Any = None

    @initialize()
    def begin(self) -> None:
        self.clock = FakeClock()
        address = self.place()
        self.house = House.open(
            Settings(data=Path(), secret=SECRET),
            clock=self.clock,
            limits=Limits(self.clock),
            store=None,  # type: ignore[arg-type]
            counters=Counters(),
            passwords=self.passwords,
            db=Database.open(address),
        )
        self.ended: list[int] = []
        kind = jobs.Kind(name="plain", run=nothing, tries=TRIES, schedule=(WAIT,), per_lane=4, ended=self.at_end)
        jobs.define(self.house, kind)
        self.hands = [Hand(self.house, f"w{number}") for number in range(3)]
        self.model: dict[int, Expected] = {}
        self.claims: list[tuple[int, jobs.Job]] = []

    def at_end(self, _connection: Any, _house: House, job: jobs.Job) -> None:
        self.ended.append(job.id)

    def teardown(self) -> None:
        if hasattr(self, "house"):
            self.house.close()

    def move(self, job_id: int, state: str) -> None:
        expected = self.model[job_id]
        assert (expected.state, state) in MOVES, "the model itself keeps to the drawing"
        expected.state = state
        if state not in HELD:
            expected.worker = None
        if state in FINAL:
            expected.ends += 1

    @rule(delay=st.sampled_from([0, 0, 5, 60]), priority=st.sampled_from([20, 50, 80]))
    def enqueue(self, delay: int, priority: int) -> None:
        run_at = self.clock.now + delay * times.SECOND
        job = add(self.house, run_at=run_at, priority=priority)
        assert job.id not in self.model
        self.model[job.id] = Expected("scheduled" if delay else "ready", run_at)

    @rule(worker=Worker, many=st.integers(1, 6))
    def claim(self, worker: int, many: int) -> None:
        taken = self.hands[worker].take(many)
        for job_id, expected in self.model.items():
            if expected.state == "scheduled" and expected.run_at <= self.clock.now:
                self.move(job_id, "ready")
        ready = [job_id for job_id, expected in self.model.items() if expected.state == "ready"]
        held = sum(expected.state in HELD for expected in self.model.values())
        assert len(taken) == min(many, len(ready), max(0, 4 - held))
        for job in taken:
            self.move(job.id, "running")
            expected = self.model[job.id]
            expected.attempt += 1
            expected.worker, expected.lease_until = worker, self.clock.now + LEASE
            self.claims.append((worker, job))

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), ending=st.sampled_from(["succeed", "fail", "give up", "release"]))
    def settle(self, data: st.DataObject, ending: str) -> None:
        """Any claim ever made may come back at any time, also twice."""
        worker, job = data.draw(st.sampled_from(self.claims))
        expected, hand = self.model[job.id], self.hands[worker]
        holds = expected.state in HELD and expected.worker == worker and expected.attempt == job.attempt
        if ending == "release":
            told = hand.release(job)
        else:
            error = jobs.NonRetryable("no") if ending == "give up" else ValueError()
            told = hand.succeed(job) if ending == "succeed" else hand.fail(job, error)
        if not holds:
            assert told is None, "a late worker changes nothing"
            return
        follows = self.following(expected, job, ending)
        assert told == follows
        self.move(job.id, follows)
        if ending == "release" and follows == "ready":
            expected.tries += 1
        if follows == "scheduled":
            expected.run_at = now(self.house, job).run_at
            assert WAIT * 0.9 <= (expected.run_at - self.clock.now) / times.SECOND <= WAIT * 1.1

    @staticmethod
    def following(expected: Expected, job: jobs.Job, ending: str) -> str:
        if expected.state == "cancelling":
            return "cancelled"
        if ending == "fail":
            return "scheduled" if job.attempt < job.tries else "failed"
        return {"succeed": "succeeded", "give up": "failed", "release": "ready"}[ending]

    @precondition(lambda self: self.model)
    @rule(data=st.data(), act=st.sampled_from(["cancel", "retry"]))
    def ask(self, data: st.DataObject, act: str) -> None:
        job_id = data.draw(st.sampled_from(sorted(self.model)))
        expected = self.model[job_id]
        allowed = expected.state not in FINAL if act == "cancel" else expected.state in {"failed", "cancelled"}
        call = jobs.cancel if act == "cancel" else jobs.retry
        if not allowed:
            with pytest.raises(Refusal):
                call(self.house, ADA, job_id=job_id)
            return
        call(self.house, ADA, job_id=job_id)
        if act == "retry":
            self.move(job_id, "ready")
            expected.run_at, expected.tries = self.clock.now, expected.attempt + TRIES
        elif expected.state == "running":
            self.move(job_id, "cancelling")
        elif expected.state != "cancelling":
            self.move(job_id, "cancelled")

    @rule(worker=Worker)
    def renew(self, worker: int) -> None:
        mine = [job_id for job_id, expected in self.model.items() if expected.worker == worker]
        assert set(leases.renew(self.house, self.hands[worker].name, sorted(self.model))) == set(mine)
        for job_id in mine:
            self.model[job_id].lease_until = self.clock.now + LEASE

    @rule()
    def reap(self) -> None:
        found = leases.reap(self.house)
        over = [
            job_id
            for job_id, expected in self.model.items()
            if expected.state in HELD and expected.lease_until < self.clock.now
        ]
        assert found == len(over)
        for job_id in over:
            expected = self.model[job_id]
            lost = "scheduled" if expected.attempt < expected.tries else "failed"
            self.move(job_id, "cancelled" if expected.state == "cancelling" else lost)
            if expected.state == "scheduled":
                expected.run_at = jobs.get(self.house, ADA, job_id=job_id).run_at
                most = min(60.0, 2.0**expected.attempt)
                assert most / 2 <= (expected.run_at - self.clock.now) / times.SECOND <= most

    @rule(seconds=st.sampled_from([1, 9, 11, 31, 61]))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @invariant()
    def agree(self) -> None:
        if not hasattr(self, "model"):
            return
        found = {job.id: job for job in jobs.list_all(self.house, ADA, limit=200).jobs}
        seen = {job_id: (job.state, job.attempt, job.tries) for job_id, job in found.items()}
        assert seen == {job_id: (one.state, one.attempt, one.tries) for job_id, one in self.model.items()}
        assert all((job.finished_at is not None) == (job.state in FINAL) for job in found.values())
        counts = jobs.counts(self.house, ADA)
        states = [one.state for one in self.model.values()]
        assert counts == {state: states.count(state) for state in jobs.STATES}
        assert sorted(self.ended) == sorted(job_id for job_id, one in self.model.items() for _ in range(one.ends))


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """Make an empty database for each run."""
    if request.param == "sqlite":
        template, target = request.getfixturevalue("migrated_file"), tmp_path / "headrace.db"

        def fresh() -> str | Path:
            for left in tmp_path.iterdir():
                left.unlink()
            return shutil.copy(template, target)

        yield fresh
        return
    url: str = request.getfixturevalue("migrated_postgres")

    def emptied() -> str:
        empty(url)
        return url

    yield emptied


def test_the_engine_does_what_the_model_does(place: Any, cheap_passwords: Passwords) -> None:
    sqlite = place.__name__ == "fresh"
    machine = type("Machine", (Jobs,), {"place": staticmethod(place), "passwords": cheap_passwords})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=25 if sqlite else 8,
            stateful_step_count=40,
            database=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )
