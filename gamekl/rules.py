"""First-order rules, to be given to `gamekl.follow` and `gamekl.preference.self_play`.

Each is made from a step size, in nats per payoff unit (`Extragradient`, `Halpern` and `AOG`: in inverse payoff units):
a number, or an optax schedule of the round counted from 0. `LISTED` is the one list of them; it loads no jax, each rule
is loaded on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from gamekl.solvers.play.rules.anchored import MMD, Proven, Rule
    from gamekl.solvers.play.rules.euclidean import AOG, Extragradient, Halpern
    from gamekl.solvers.play.rules.preference import EGPO, INPO, MNPO, MPO, ONPO, SPO, NashMD, NashMP

HERE = "gamekl.solvers.play.rules"


class Listed(NamedTuple):
    """A rule.

    Attributes:
        makes: "module:name" of its class, a `Rule` made from a step size (and `magnet_rounds`).
        key: its name in the config of a sweep.
        anchored: whether it heads for the anchored equilibrium.
        tempered: whether it has a temperature: an anchor, or a magnet that moves.
        proven: whether its class has a `proven` way to choose steps.
        has_magnet: whether it takes `magnet_rounds`.
    """

    makes: str
    key: str
    anchored: bool = False
    tempered: bool = False
    proven: bool = False
    has_magnet: bool = False

    def __repr__(self) -> str:
        from gamekl.core.show import show  # loads jax

        return show(self)


LISTED = {
    "MMD": Listed(f"{HERE}.anchored:MMD", "mmd", anchored=True, tempered=True, proven=True),
    "NashMD": Listed(f"{HERE}.preference:NashMD", "nash_md", anchored=True, tempered=True, proven=True),
    "INPO": Listed(f"{HERE}.preference:INPO", "inpo", anchored=True, tempered=True, proven=True),
    "EGPO": Listed(f"{HERE}.preference:EGPO", "egpo", anchored=True, tempered=True, proven=True),
    "NashMP": Listed(f"{HERE}.preference:NashMP", "nash_mp", anchored=True, tempered=True, proven=True),
    "SPO": Listed(f"{HERE}.preference:SPO", "spo"),
    "ONPO": Listed(f"{HERE}.preference:ONPO", "onpo"),
    "MNPO": Listed(f"{HERE}.preference:MNPO", "mnpo"),
    "MPO": Listed(f"{HERE}.preference:MPO", "mpo", tempered=True, has_magnet=True),
    "Extragradient": Listed(f"{HERE}.euclidean:Extragradient", "extragradient"),
    "Halpern": Listed(f"{HERE}.euclidean:Halpern", "halpern"),
    "AOG": Listed(f"{HERE}.euclidean:AOG", "aog"),
}
_HOMES = {name: entry.makes for name, entry in LISTED.items()} | {
    name: f"{HERE}.anchored:{name}" for name in ("Proven", "Rule")
}

__all__ = [
    "AOG",
    "EGPO",
    "INPO",
    "LISTED",
    "MMD",
    "MNPO",
    "MPO",
    "ONPO",
    "SPO",
    "Extragradient",
    "Halpern",
    "Listed",
    "NashMD",
    "NashMP",
    "Proven",
    "Rule",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gamekl.rules' has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
