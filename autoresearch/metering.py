"""Nothing is spent that was not reserved: what wraps the calls of a model and the runs of a sandbox."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from autoresearch.ledger import Amounts, Entry, Ledger, Price
from autoresearch.llm import Answer, Request, readable
from autoresearch.records import Execution, Limits
from autoresearch.sandbox import Environment, Job, Sandbox

FRAME = 64  # tokens that a provider adds around a single message
GRACE = 10.0  # seconds in which a sandbox ends what has passed its time


@dataclass(frozen=True)
class Charge:
    """One reserved try of a call: settled at what it cost, released, or left at its worst case."""

    ledger: Ledger
    price: Price
    entry: Entry

    def settle(self, answer: Answer) -> Answer:
        """Charge an answer at the run's own price; the answer with that price in dollars."""
        cost = self.price.cost(answer.tokens_in, answer.tokens_out)
        used = Amounts(nanodollars=cost, tokens_in=answer.tokens_in, tokens_out=answer.tokens_out)
        self.ledger.settle(self.entry, used)
        return answer.model_copy(update={"dollars": cost / 10**9})

    def release(self) -> None:
        """The provider turned the call down: nothing can have been billed."""
        self.ledger.release(self.entry)


class Meter:
    """The books of one model's calls, at a price that is frozen for the run."""

    def __init__(self, ledger: Ledger, price: Price):
        self._ledger, self._price = ledger, price

    @contextmanager
    def call(
        self, request: Request, most_out: int, seconds: float, extra: int = 0
    ) -> Iterator[Charge]:
        """One try of one call, reserved before it is made. Neither settled nor released, it counts at
        its worst case, since the provider may have billed it. Raises BudgetEnded where it cannot fit.

        The bound on the prompt holds for any tokeniser: a token is at least one byte. `extra` are the
        bytes that are sent beside it, such as a schema.
        """
        most_in = len(readable(request.text).encode()) + extra + FRAME
        cost = self._price.cost(most_in, most_out)
        worst = Amounts(nanodollars=cost, tokens_in=most_in, tokens_out=most_out)
        what = f"a call of {request.prompt}"
        with self._ledger.spending(what, request.role, worst, seconds) as entry:
            yield Charge(self._ledger, self._price, entry)


class MeteredSandbox:
    """A sandbox whose runs are in the ledger. Experiments must fit into the budgets; the recipe and the
    scorer are in the books only, since scoring what has run is finishing them."""

    def __init__(self, inner: Sandbox, ledger: Ledger):
        self._inner, self._ledger, self.name = inner, ledger, inner.name

    def check(self, limits: Limits) -> None:
        self._inner.check(limits)

    def environment(self, folder: Path) -> Environment:
        return self._inner.environment(folder)

    def close(self) -> None:
        self._inner.close()

    def run(self, job: Job) -> Execution:
        limits, binding = job.limits, job.purpose == "experiment"
        lasts = limits.timeout + GRACE
        worst = Amounts(
            gpu_seconds=limits.gpus * lasts if binding else 0.0, cpu_seconds=limits.cpus * lasts
        )
        what, seconds = f"a run of the {job.purpose}", lasts if binding else 0.0
        with self._ledger.spending(what, job.purpose, worst, seconds) as entry:
            execution = self._inner.run(job)
            cpu = execution.cpu_seconds
            used = Amounts(
                gpu_seconds=execution.gpu_seconds,
                cpu_seconds=limits.cpus * execution.seconds if cpu is None else cpu,
            )
            self._ledger.settle(entry, used)
            return execution
