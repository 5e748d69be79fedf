"""All falsifiers on one claim, the cheap ones first; each finding is a step on disk.

One refutation is enough: what has not been tried by then is left out, and that is said.
"""

from collections.abc import Callable, Mapping

from autoresearch.falsify.ablation import ablation
from autoresearch.falsify.compute import compute_parity
from autoresearch.falsify.control import control_arm
from autoresearch.falsify.degenerate import degenerate_predictions
from autoresearch.falsify.duplicates import duplicates
from autoresearch.falsify.evidence import NoScore, Untestable
from autoresearch.falsify.grounds import Grounds
from autoresearch.falsify.reruns import fresh_seeds, label_permutation, order_invariance
from autoresearch.falsify.subject import Subject
from autoresearch.records import Evidence, Lesson

FALSIFIERS: Mapping[str, Callable[[Subject], Evidence]] = {
    "degenerate predictions": degenerate_predictions,
    "compute parity": compute_parity,
    "leakage through duplicates": duplicates,
    "fresh seeds": fresh_seeds,
    "order and batch invariance": order_invariance,
    "label permutation": label_permutation,
    "ablation": ablation,
    "the control arm": control_arm,
}


def try_all(grounds: Grounds, claims: tuple[Lesson, ...], number: int) -> tuple[Evidence, ...]:
    """What every falsifier found on one of the claims."""
    lesson = claims[number]

    def one(name: str) -> Evidence:
        subject = Subject.of(grounds, lesson, claims)
        return subject.desk.step(name.replace(" ", "-"), Evidence, lambda: try_one(name, subject))

    found: list[Evidence] = []
    for name in FALSIFIERS:
        by = next((each.falsifier for each in found if each.outcome == "refuted"), None)
        found.append(_left_out(name, by) if by else one(name))
    grounds.lab.workspace.discard(str(lesson.commit))
    return tuple(found)


def _left_out(name: str, by: str) -> Evidence:
    return Evidence(falsifier=name, outcome="untested", reason=f"refuted by {by} already")


def try_one(name: str, subject: Subject) -> Evidence:
    """A program that fails where it should have run is refuted by that; what cannot be tried is said."""
    try:
        found = FALSIFIERS[name](subject)
    except NoScore as failed:
        found = Evidence(falsifier=name, outcome="refuted", reason=str(failed))
    except Untestable as why:
        found = Evidence(falsifier=name, outcome="untested", reason=str(why))
    return found.model_copy(update={"falsifier": name, "cost": subject.cost()})
