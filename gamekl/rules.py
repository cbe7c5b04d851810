"""First-order rules, to be given to `gamekl.follow` and `gamekl.preference.self_play`.

Each is made from a step size, in nats per payoff unit (`Extragradient`, `Halpern` and `AOG`: in inverse payoff units):
a number, or an optax schedule of the round counted from 0.
"""

from gamekl.solvers.play.rules.anchored import MMD, Proven, Rule
from gamekl.solvers.play.rules.euclidean import AOG, Extragradient, Halpern
from gamekl.solvers.play.rules.preference import EGPO, INPO, MNPO, MPO, ONPO, SPO, NashMD, NashMP

__all__ = [
    "AOG",
    "EGPO",
    "INPO",
    "MMD",
    "MNPO",
    "MPO",
    "ONPO",
    "SPO",
    "Extragradient",
    "Halpern",
    "NashMD",
    "NashMP",
    "Proven",
    "Rule",
]
