"""A leader that commits and a follower that responds: quantal Stackelberg equilibria, known games and learnt ones.

Leader and follower are players 0 and 1 of a game, and a `gamekl.Regularizer` has their references and temperatures: the
follower's is 1 / its rationality, the leader's may be 0. `quantal_stackelberg` plans in a game; `fit_responses` and
`estimate_follower` make one out of a follower's actions, `lead_online` while it leads.
"""

from gamekl.core.follower import leader_value, quantal_response
from gamekl.learning.likelihood_region import likelihood_commitment
from gamekl.learning.stackelberg import (
    LeaderEstimate,
    ValueBand,
    estimate_follower,
    optimistic_commitment,
    pessimistic_commitment,
    value_band,
)
from gamekl.learning.stackelberg_online import OnlineLeader, lead_online
from gamekl.learning.stackelberg_rates import predicted_constant
from gamekl.offline.response_checks import ResponseStatus
from gamekl.offline.response_fit import FollowerFit, fit_responses
from gamekl.offline.responses import Responses, count_responses, expected_responses, sample_responses
from gamekl.solvers.commitment import Commitment, quantal_stackelberg
from gamekl.solvers.commitment_stages import (
    StagedCommitment,
    contextual_stackelberg,
    farsighted_stackelberg,
    myopic_stackelberg,
    stagewise_stackelberg,
)
from gamekl.solvers.strong_stackelberg import StrongCommitment, strong_stackelberg

__all__ = [
    "Commitment",
    "FollowerFit",
    "LeaderEstimate",
    "OnlineLeader",
    "ResponseStatus",
    "Responses",
    "StagedCommitment",
    "StrongCommitment",
    "ValueBand",
    "contextual_stackelberg",
    "count_responses",
    "estimate_follower",
    "expected_responses",
    "farsighted_stackelberg",
    "fit_responses",
    "lead_online",
    "leader_value",
    "likelihood_commitment",
    "myopic_stackelberg",
    "optimistic_commitment",
    "pessimistic_commitment",
    "predicted_constant",
    "quantal_response",
    "quantal_stackelberg",
    "sample_responses",
    "stagewise_stackelberg",
    "strong_stackelberg",
    "value_band",
]
