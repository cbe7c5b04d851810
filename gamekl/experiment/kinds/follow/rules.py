"""The rules that a family may follow, by the names that a config has for them. Loads no jax.

`RULES` is the one list; `register_rule` adds to it, from a module that a config names under `plugins`.
"""

from typing import NamedTuple


class SweptRule(NamedTuple):
    """One of them.

    Attributes:
        name: in a config.
        makes: "module:name" of its class, a `gamekl.rules.Rule` made from a step size (and `magnet_rounds`).
        anchored: whether it heads for the anchored equilibrium.
        tempered: whether it has a temperature: an anchor, or a magnet that moves.
        proven: whether its class has a `proven` way to choose steps.
        has_magnet: whether it takes `magnet_rounds`.
    """

    name: str
    makes: str
    anchored: bool = False
    tempered: bool = False
    proven: bool = False
    has_magnet: bool = False


RULES: dict[str, SweptRule] = {}


def register_rule(rule: SweptRule) -> SweptRule:
    """Add a rule.

    Raises:
        ValueError: another one has its name.
    """
    if RULES.setdefault(rule.name, rule) != rule:
        raise ValueError(f"rule.name: got {rule.name!r}, which there is already; takes another name")
    return rule


for _name, _made in {
    "mmd": "MMD",
    "nash_md": "NashMD",
    "inpo": "INPO",
    "egpo": "EGPO",
    "nash_mp": "NashMP",
}.items():
    register_rule(SweptRule(_name, f"gamekl.rules:{_made}", anchored=True, tempered=True, proven=True))
for _name, _made in {
    "spo": "SPO",
    "onpo": "ONPO",
    "mnpo": "MNPO",
    "extragradient": "Extragradient",
    "halpern": "Halpern",
    "aog": "AOG",
}.items():
    register_rule(SweptRule(_name, f"gamekl.rules:{_made}"))
register_rule(SweptRule("mpo", "gamekl.rules:MPO", tempered=True, has_magnet=True))
