"""Compute parity: a gain that was bought is said to be bought."""

from statistics import median

from autoresearch.falsify.evidence import Untestable
from autoresearch.falsify.grounds import AS_IT_IS
from autoresearch.falsify.subject import Subject, noted, survived
from autoresearch.records import Evidence, Execution


def compute_parity(subject: Subject) -> Evidence:
    """The idea uses about as many seconds of processors (or GPUs) as the baseline does."""
    gpus = subject.lab.task.limits.gpus > 0
    mine = [_seconds(each.execution, gpus) for each in subject.trial.measurements]
    theirs = [
        _seconds(subject.grounds.baseline(AS_IT_IS, seed).execution, gpus) for seed in subject.seeds
    ]
    base = median(theirs)
    if base <= 0:
        raise Untestable("the sandbox did not tell the baseline's seconds")
    bound, kind = subject.lab.settings.falsify.compute, "GPU" if gpus else "CPU"
    ratio, times = median(mine) / base, f"{bound:g} times the baseline's {kind}-seconds"
    if ratio <= bound:
        return survived(f"within {times}").model_copy(update={"ratio": ratio})
    gain = f"{subject.gain:+.4g} {subject.lab.task.shown_metric}"
    return noted(f"{gain} for more than {times}").model_copy(update={"ratio": ratio})


def _seconds(ran: Execution, gpus: bool) -> float:
    if gpus:
        return ran.gpu_seconds
    return ran.cpu_seconds if ran.cpu_seconds is not None else ran.seconds
