"""The rules that a family may follow, by the names that a config has for them. Loads no jax.

Those of `gamekl.rules`, and what modules register that a config names under `plugins`.
"""

from gamekl.experiment.schema.parts import register
from gamekl.rules import LISTED, Listed

RULES: dict[str, Listed] = {}


def register_rule(rule: Listed) -> Listed:
    """Add a rule.

    Raises:
        ValueError: another one has its name.
    """
    return register(RULES, rule.key, rule, "rule.name")


for _rule in LISTED.values():
    register_rule(_rule)
