"""How sure a measured share is."""

import math

Z = 1.959964  # of a two-sided 95 % interval


def wilson(successes: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share by Wilson's formula; (0, 1) of nothing."""
    if count == 0:
        return 0.0, 1.0
    share, spread = successes / count, Z**2 / count
    middle = (share + spread / 2) / (1 + spread)
    reach = Z / (1 + spread) * math.sqrt(share * (1 - share) / count + spread / count / 4)
    return max(0.0, middle - reach), min(1.0, middle + reach)
