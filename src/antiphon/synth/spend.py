"""What a variant has cost, and when that is enough."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from time import monotonic
from typing import NamedTuple

from antiphon.errors import SettingsError
from antiphon.settings import Role, Settings
from antiphon.trace import Author, Usage, estimated_tokens

_ROLES = (Author.STUDENT, Author.TEACHER)


class Prices(NamedTuple):
    """What a million tokens cost: of prompts, of those among them that came from the server's cache, and written."""

    prompt: float
    cached: float
    written: float

    @classmethod
    def of(cls, role: Role) -> Prices | None:
        """A role's; None where it has none. Of prompt and written tokens one alone is enough: the other is free."""
        if role.price_in is None and role.price_out is None:
            return None
        prompt = role.price_in or 0.0
        return cls(prompt, prompt if role.price_cached is None else role.price_cached, role.price_out or 0.0)

    def cost(self, usage: Usage, *, ids: bool = True) -> float:
        """What this usage cost. Prompts of which nobody told whether they were cached count as not cached.

        Args:
            ids: False: what was received is counted in characters (see `Turn`).
        """
        cached = min(usage.cached or 0, usage.prompt)  # a server's own count; the prompt may be an estimate
        prompt = (usage.prompt - cached) * self.prompt + cached * self.cached
        return (prompt + tokens_received(usage, ids=ids) * self.written) / 1e6


def tokens_received(usage: Usage, *, ids: bool) -> int:
    """What a model wrote, in its tokens (an estimate where lengths are characters: `ids` False)."""
    return usage.received if ids else estimated_tokens(usage.received)


class LimitReached(Exception):
    """No further turn may begin; the trace stays pending."""


class Spend:
    """What a variant has cost, in this session and those before, and the limits on it (`settings.max`).

    Args:
        began: of this session, as `time.monotonic` has it.
        session: what each role has cost in it; followed as it grows.
        earlier: what each role had cost before.
        textual: roles whose tokens are counted in characters.

    Attributes:
        reached: the limit that stopped the run ("max.cost"), None while none did. Who sets it stops the run.
        earlier, textual: as given.

    Raises:
        SettingsError: a limit on the cost, and no prices.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        began: float,
        session: Mapping[Author, Usage],
        earlier: Mapping[Author, Usage],
        textual: Collection[Author] = (),
    ):
        self.reached: str | None = None
        self._limits = settings.max
        self._prices = prices(settings)
        self._began = began
        self._session, self.earlier, self.textual = session, earlier, textual

    @property
    def tokens(self) -> int:
        """Tokens that both models wrote, each in its own, kept or not."""
        return sum(tokens_received(usage, ids=role not in self.textual) for role, usage in self._usage())

    @property
    def hours(self) -> float:
        """Hours since this session began."""
        return (monotonic() - self._began) / 3600

    @property
    def costs(self) -> dict[Author, float]:
        """What each role that has a price has cost."""
        return {
            role: self._prices[role].cost(usage, ids=role not in self.textual)
            for role, usage in self._usage()
            if role in self._prices
        }

    def check(self) -> None:
        """Called before each turn.

        Raises:
            LimitReached: a limit is reached.
        """
        limits = self._limits
        if limits.tokens_total is not None and self.tokens >= limits.tokens_total:
            self.reached = self.reached or "max.tokens_total"
        if limits.hours is not None and self.hours >= limits.hours:
            self.reached = self.reached or "max.hours"
        if limits.cost is not None and sum(self.costs.values()) >= limits.cost:
            self.reached = self.reached or "max.cost"
        if self.reached is not None:
            raise LimitReached

    def amounts(self) -> dict[str, str]:
        """What is limited, and the cost where there are prices: how much so far, of how much, by the limit's name."""
        limits, amounts = self._limits, {}
        if limits.tokens_total is not None:
            amounts["max.tokens_total"] = f"{self.tokens:,} of {limits.tokens_total:,} tokens written"
        if limits.hours is not None:
            amounts["max.hours"] = f"{self.hours:.2f} of {limits.hours:g} hours"
        if self._prices:
            spent = money(sum(self.costs.values()))
            amounts["max.cost"] = f"cost {spent}" if limits.cost is None else f"cost {spent} of {money(limits.cost)}"
        return amounts

    @property
    def stopped(self) -> str | None:
        """Which limit stopped the run and how to go on, in a sentence without its full stop."""
        if self.reached is None:
            return None
        way = "run it again" if self.reached == "max.hours" else "raise it"
        return f"{self.reached} is reached ({self.amounts()[self.reached]}); {way} to go on"

    def _usage(self) -> Iterator[tuple[Author, Usage]]:
        for role in _ROLES:
            yield role, self.earlier.get(role, Usage()) + self._session.get(role, Usage())


def prices(settings: Settings) -> dict[Author, Prices]:
    """The prices of the roles that have some.

    Raises:
        SettingsError: there is a limit on the cost, and none has.
    """
    found = {role: price for role in _ROLES if (price := Prices.of(getattr(settings, role.value))) is not None}
    if settings.max.cost is not None and not found:
        raise SettingsError(
            "max.cost: nothing has a price; set teacher.price_in and teacher.price_out, or the student's (per million "
            "tokens): --set teacher.price_out=2.5"
        )
    return found


def money(amount: float) -> str:
    """An amount of money, small ones in two digits that count: 1,234.50, 0.0031."""
    return f"{amount:,.2f}" if amount >= 1 or not amount else f"{amount:.2g}"
