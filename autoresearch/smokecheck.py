"""Checks the short run that a task offers with $SMOKE set: that it ends well, and is worth making."""

from collections.abc import Iterator

from autoresearch.findings import Finding, error, ok, tail_of, warning
from autoresearch.harness import Lab, last_line
from autoresearch.records import Ended, Execution

LONG = 60.0  # seconds of a run from which a short one is worth offering
SHORT = 0.4  # of a whole run: a short one that takes more hardly saves anything


def check_smoke(lab: Lab, short: Execution | None, whole: Execution) -> Iterator[Finding]:
    """The short run must end, and be worth making before the whole one."""
    if short is None:
        if whole.seconds > LONG:
            yield warning(
                f"a run takes {whole.seconds:.0f} s, and so does one that fails at its end",
                'offer a short one: smoke = "30s" in task.toml, and do little when $SMOKE is set',
            )
    elif not short.succeeded:
        over = short.ended is Ended.timeout
        less = 'do less in the baseline when "SMOKE" is in os.environ, or raise smoke in task.toml'
        todo = less if over else "mend the baseline: an idea would be blamed for it"
        said = f"failed: {short.reason}: {last_line(short.stderr)}"
        yield error(f"the short run with $SMOKE set {said}", todo, tail_of(short))
    elif _work(short) > SHORT * _work(whole):
        yield warning(
            f"the short run takes {_work(short):.1f} of the whole one's {_work(whole):.1f} CPU seconds",
            'do less in the baseline when "SMOKE" is in os.environ, or take smoke out of task.toml',
        )
    else:
        yield ok(f"the short run with $SMOKE set takes {short.seconds:.1f} s")


def _work(ran: Execution) -> float:
    """Processor time, where it is known: the steadier figure on a busy machine."""
    return ran.seconds if ran.cpu_seconds is None else ran.cpu_seconds
