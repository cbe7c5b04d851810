"""A leader that commits and a follower that responds: quantal Stackelberg equilibria, known games and learnt ones.

Leader and follower are players 0 and 1 of a game, and a `gamekl.Regularizer` has their references and temperatures: the
follower's is 1 / its rationality, the leader's may be 0. `quantal_stackelberg` plans in a game; `fit_responses` and
`estimate_follower` make one out of a follower's actions, `lead_online` while it leads. In games in stages
`contextual_`, `myopic_` and `farsighted_stackelberg` plan, and `estimate_myopic` and `estimate_farsighted` make one out
of `Episodes`.
"""

from gamekl.stackelberg.commit.quantal import Commitment, quantal_stackelberg
from gamekl.stackelberg.commit.stages import (
    StagedCommitment,
    contextual_stackelberg,
    farsighted_stackelberg,
    myopic_stackelberg,
    stagewise_stackelberg,
)
from gamekl.stackelberg.commit.strong import StrongCommitment, strong_stackelberg
from gamekl.stackelberg.fit.farsighted import FarsightedFit, fit_farsighted
from gamekl.stackelberg.fit.payoffs import FollowerFit, fit_responses
from gamekl.stackelberg.fit.responses import Responses, count_responses, expected_responses, sample_responses
from gamekl.stackelberg.fit.staged_responses import Episodes, expected_episodes, sample_episodes
from gamekl.stackelberg.follower import leader_value, quantal_response
from gamekl.stackelberg.learn.leader import (
    LeaderEstimate,
    ValueBand,
    estimate_follower,
    optimistic_commitment,
    pessimistic_commitment,
    value_band,
)
from gamekl.stackelberg.learn.online import OnlineLeader, lead_online
from gamekl.stackelberg.learn.rates import predicted_constant
from gamekl.stackelberg.learn.region import likelihood_commitment
from gamekl.stackelberg.learn.stages import (
    StagedEstimate,
    estimate_farsighted,
    estimate_myopic,
    pessimistic_stages,
    staged_value_band,
)
from gamekl.stackelberg.staged_follower import farsighted_response, myopic_response, staged_leader_value

__all__ = [
    "Commitment",
    "Episodes",
    "FarsightedFit",
    "FollowerFit",
    "LeaderEstimate",
    "OnlineLeader",
    "Responses",
    "StagedCommitment",
    "StagedEstimate",
    "StrongCommitment",
    "ValueBand",
    "contextual_stackelberg",
    "count_responses",
    "estimate_farsighted",
    "estimate_follower",
    "estimate_myopic",
    "expected_episodes",
    "expected_responses",
    "farsighted_response",
    "farsighted_stackelberg",
    "fit_farsighted",
    "fit_responses",
    "lead_online",
    "leader_value",
    "likelihood_commitment",
    "myopic_response",
    "myopic_stackelberg",
    "optimistic_commitment",
    "pessimistic_commitment",
    "pessimistic_stages",
    "predicted_constant",
    "quantal_response",
    "quantal_stackelberg",
    "sample_episodes",
    "sample_responses",
    "staged_leader_value",
    "staged_value_band",
    "stagewise_stackelberg",
    "strong_stackelberg",
    "value_band",
]
