"""REINFORCE: ascend the sampled policy gradient (Williams 1992; lecture, parts 2 and 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pgcore.algorithms.policy_gradient import PolicyGradient, PolicyGradientConfig
from pgcore.data.batch import double_rewards
from pgcore.estimators.terms import on_policy_terms

if TYPE_CHECKING:
    from pgcore.data.batch import Batch

__all__ = ["REINFORCE", "REINFORCEConfig"]


@dataclass(frozen=True)
class REINFORCEConfig(PolicyGradientConfig):
    """Hyperparameters of `REINFORCE`; the shared ones are in `PolicyGradientConfig`."""

    form: Literal["trajectory", "reward_to_go"] = "reward_to_go"
    """Weight of a step: its trajectory's whole return R, or the rewards from there on, G_t."""


class REINFORCE(PolicyGradient[REINFORCEConfig]):
    r"""Policy gradient as weighted maximum likelihood: raise log π(a_t∣s_t) by how well things went after it.

    .. math:: \nabla J \approx \frac1N \sum_{i=1}^N \sum_t \nabla\log\pi_\theta(a_{i,t}\mid s_{i,t})
              \, (W_{i,t} - b_{i,t}), \qquad
              W_{i,t} = \begin{cases} R(\tau_i) = \sum_{t'} \gamma^{t'} r_{i,t'} & \text{trajectory} \\
              G_{i,t} = \sum_{t' \ge t} \gamma^{t'-t} r_{i,t'} & \text{reward to go} \end{cases}

    Arguments are those of `pgcore.training.Algorithm`, hyperparameters those of `REINFORCEConfig`.

    Examples
    --------
    >>> model = REINFORCE("CartPole-v1", num_envs=4, n_steps=64, seed=0).learn(1000)
    >>> model.num_timesteps >= 1000
    True
    """

    config_class = REINFORCEConfig

    def update(self, batch: Batch) -> dict[str, float]:
        """Take one step up the policy gradient, then let the baseline learn."""
        cfg, batch = self.config, double_rewards(batch)
        terms = on_policy_terms(
            batch,
            self.critic.bootstrap_values(batch),
            form=cfg.form,
            gamma=cfg.gamma,
            discount_states=cfg.discount_states,
        )
        return {**self.ascend(batch, terms), **self.fit_critic(batch)}
