"""Every interleaving of two senders, a reconciliation and a provider over one message, explored state by state.

A sender may crash or stand still anywhere, an answer may be lost, a request may be slow. The rules are the production
functions; three policies that are often built instead are run through the same explorer, which finds each of them out.

What the model assumes, and the ledger provides: the compare-and-set on state and epoch (one sender per attempt), a
sender that does not begin to send after its deadline, a transit that is shorter than the settle time.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from queue_pipeline.domain.limits import Limits
from queue_pipeline.domain.outbound import (
    MOVES,
    Capabilities,
    Doubt,
    LookupBy,
    OutboundState,
    SendOutcome,
    Step,
    after_attempt,
    resolve,
)

ATTEMPTS_MAX = 3
LIMITS = Limits()
#: One tick of the model's clock, coarser than the deadline; a request is in transit for at most one tick after it.
TICK = 60.0
S = OutboundState


@dataclass(frozen=True)
class Sender:
    """One attempt: `holds` (it may still call), `waits` (it called), or `gone`; ticks since its deadline."""

    epoch: int
    phase: str
    in_doubt: bool
    late: int = -1
    outcome: SendOutcome | None = None


@dataclass(frozen=True)
class World:
    """All there is: the message, its senders, requests on their way, and how often the customer got it."""

    state: OutboundState = S.READY
    epoch: int = 0
    in_doubt: bool = False
    unknown_for: int = 0
    senders: tuple[Sender, ...] = ()
    transit: int = 0
    delivered: int = 0


@dataclass(frozen=True)
class Policy:
    """The decisions under test."""

    after: Callable[..., OutboundState] = after_attempt
    stale: OutboundState = S.UNKNOWN
    settles: bool = True
    bounded: bool = True


def step_of(world: World, capabilities: Capabilities, policy: Policy) -> Step:
    since = min((s.late for s in world.senders), default=0) * TICK
    doubt = Doubt(since if policy.settles else 1e9, world.unknown_for * TICK, 20.0 * len(world.senders))
    return resolve(doubt, capabilities, LIMITS)[0]


def begin(world: World) -> World:
    sender = Sender(world.epoch + 1, "holds", world.in_doubt)
    return replace(world, state=S.SENDING, epoch=world.epoch + 1, senders=(*world.senders, sender))


def deliver(world: World, capabilities: Capabilities) -> int:
    return 1 if capabilities.idempotency_seconds and world.delivered else world.delivered + 1


def put(world: World, index: int, **changes: object) -> tuple[Sender, ...]:
    return tuple(replace(s, **changes) if i == index else s for i, s in enumerate(world.senders))  # type: ignore[arg-type]


def of_senders(world: World, capabilities: Capabilities, policy: Policy) -> Iterator[World]:
    for i, sender in enumerate(world.senders):
        if sender.phase == "gone":
            continue
        yield replace(world, senders=put(world, i, phase="gone"))  # it crashes
        if sender.phase == "holds":
            if sender.late < 0:  # it looks at its clock right before it calls
                called = put(world, i, phase="waits")
                yield replace(world, senders=called, transit=world.transit + 1)
                yield replace(world, senders=put(world, i, phase="waits", outcome=SendOutcome.REJECTED))
            yield replace(world, senders=put(world, i, phase="waits", outcome=SendOutcome.NOT_SENT))
            continue
        arrived = world.delivered > 0 and sender.outcome is None
        outcomes = [sender.outcome] if sender.outcome else [SendOutcome.AMBIGUOUS] + [SendOutcome.ACCEPTED] * arrived
        for outcome in outcomes:
            ended = replace(world, senders=put(world, i, phase="gone"))
            if world.state is S.SENDING and world.epoch == sender.epoch:
                state = policy.after(outcome, in_doubt=sender.in_doubt)
                yield moved(ended, state)
            elif outcome is SendOutcome.ACCEPTED and world.state in (S.READY, S.UNKNOWN, S.NEEDS_HUMAN):
                yield moved(ended, S.SENT)  # a late answer
            else:
                yield ended


def moved(world: World, state: OutboundState) -> World:
    assert state in MOVES[world.state], f"{world.state} to {state}"
    doubt = state is S.UNKNOWN or (world.in_doubt and state not in (S.SENT, S.READY))
    return replace(world, state=state, in_doubt=doubt, unknown_for=0)


def of_time(world: World, policy: Policy) -> Iterator[World]:
    """A tick passes: deadlines with it. What is in transit arrives before the settle time is over."""
    if world.transit and any(s.late >= 1 for s in world.senders) and policy.bounded:
        return
    if all(s.late >= 3 for s in world.senders):
        return
    older = tuple(replace(s, late=min(3, s.late + 1)) for s in world.senders)
    yield replace(world, senders=older, unknown_for=min(3, world.unknown_for + (world.state is S.UNKNOWN)))


def of_reconciliation(world: World, capabilities: Capabilities, policy: Policy) -> Iterator[World]:
    last = world.senders[-1] if world.senders else None
    if world.state is S.SENDING and last is not None and last.late >= 0:
        yield moved(world, policy.stale)
    if world.state is S.READY and len(world.senders) < ATTEMPTS_MAX:
        yield begin(world)
    if world.state is not S.UNKNOWN:
        return
    step = step_of(world, capabilities, policy)
    if step is Step.RETRY_SAME_KEY and len(world.senders) < ATTEMPTS_MAX:
        yield begin(world)
    elif step is Step.LOOK_UP:
        yield moved(world, S.SENT if world.delivered else S.READY)
    elif step is Step.ASK_HUMAN:
        yield moved(world, S.NEEDS_HUMAN)


def after(world: World, capabilities: Capabilities, policy: Policy) -> Iterator[World]:
    """Every world that one step of somebody makes of this one."""
    if world.transit:
        yield replace(world, transit=world.transit - 1, delivered=deliver(world, capabilities))
    yield from of_senders(world, capabilities, policy)
    yield from of_time(world, policy)
    yield from of_reconciliation(world, capabilities, policy)


def explore(capabilities: Capabilities, policy: Policy) -> tuple[set[str], int, set[OutboundState]]:
    """What can go wrong, in how many worlds it was looked for, and in which states a message can come to rest."""
    seen, todo, wrong, rest = {World()}, [World()], set(), set()
    while todo:
        world = todo.pop()
        if world.delivered > 1:
            wrong.add("duplicate")
        if world.state is S.REJECTED and (world.delivered or world.transit):
            wrong.add("REJECTED but delivered")
        following = set(after(world, capabilities, policy))
        if (
            world.state is S.SENT
            and not world.delivered
            and not world.transit
            and all(s.phase == "gone" for s in world.senders)
        ):
            wrong.add("SENT but lost")
        if not following:
            rest.add(world.state)
        todo += following - seen
        seen |= following
    return wrong, len(seen), rest


KEY = Capabilities(idempotency_seconds=86_400.0)
LOOKUP = Capabilities(lookup=LookupBy.KEY, settle_seconds=2 * TICK)
BOTH = Capabilities(idempotency_seconds=86_400.0, lookup=LookupBy.KEY, settle_seconds=2 * TICK)
NOTHING = Capabilities()
ALL = {"key": KEY, "lookup": LOOKUP, "both": BOTH, "nothing": NOTHING}


@pytest.mark.parametrize("name", list(ALL))
def test_no_interleaving_sends_twice_or_marks_as_sent_what_is_lost(name: str) -> None:
    wrong, worlds, _ = explore(ALL[name], Policy())
    assert wrong == set()
    assert worlds > 100, "the explorer saw too little to be believed"


@pytest.mark.parametrize("name", list(ALL))
def test_a_message_comes_to_rest_only_where_somebody_knows_or_is_asked(name: str) -> None:
    _, _, rest = explore(ALL[name], Policy())
    out_of_tries = {S.READY, S.UNKNOWN}  # the model's three attempts were used up; the ledger then asks a person
    assert rest - out_of_tries <= {S.SENT, S.REJECTED, S.NEEDS_HUMAN}
    assert S.SENDING not in rest
    assert S.SENT in rest
    assert (S.NEEDS_HUMAN in rest) == (name == "nothing")


def retry_on_timeout(outcome: SendOutcome, *, in_doubt: bool) -> OutboundState:
    state = after_attempt(outcome, in_doubt=in_doubt)
    return S.READY if state is S.UNKNOWN else state


WRONG: dict[str, tuple[Policy, Capabilities, str]] = {
    "an unclear answer is tried again": (Policy(after=retry_on_timeout), LOOKUP, "duplicate"),
    "what is past its deadline is taken for sent": (Policy(stale=S.SENT), NOTHING, "SENT but lost"),
    "absence is believed before the transit has settled": (Policy(settles=False), LOOKUP, "duplicate"),
    "doubt is forgotten when a second attempt is refused": (
        Policy(after=lambda outcome, in_doubt: after_attempt(outcome, in_doubt=False)), BOTH, "REJECTED but delivered",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(WRONG))
def test_the_explorer_finds_a_wrong_policy_out(name: str) -> None:
    policy, capabilities, what = WRONG[name]
    wrong, _, _ = explore(capabilities, policy)
    assert what in wrong


def test_the_right_policy_needs_a_transit_that_is_shorter_than_the_settle_time() -> None:
    assert "duplicate" in explore(LOOKUP, Policy(bounded=False))[0]
    assert explore(KEY, Policy(bounded=False))[0] == set()
