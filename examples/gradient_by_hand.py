"""REINFORCE in a dozen lines on top of the kernels: what the algorithm file does, without its comforts."""

import gymnasium as gym
import numpy as np

from pgcore import policies, rollout
from pgcore.kernels import reward_to_go

env = rollout.make_vector_env("CartPole-v1", num_envs=8, backend="sync", seed=0)
policy = policies.for_spaces(4, gym.make("CartPole-v1").action_space, seed=0)
collector = rollout.Collector(env, policy, rng=np.random.default_rng(0), seed=0)

for iteration in range(30):
    batch = collector.collect(100, whole_episodes=True)
    returns = reward_to_go(batch.rewards, 0.99, ends=batch.ends)
    advantages = (returns - returns.mean()) / returns.std()
    gradient = policy.score_product(batch.obs, batch.actions, advantages) / batch.num_steps
    policy.params = policy.params + 0.5 * gradient
    if iteration % 5 == 0:
        print(iteration, "mean return", round(float(np.mean(collector.episode_returns)), 1))
