"""Train a policy on CartPole, look at it, save it, and continue from the file."""

import pgcore

model = pgcore.REINFORCE.from_preset("CartPole-v1", seed=0)
model.learn(50_000, progress_bar=True)
mean, std = pgcore.evaluate_policy(model, "CartPole-v1", n_eval_episodes=20)
print(f"after {model.num_timesteps} steps: {mean:.0f} ± {std:.0f}")

model.save("cartpole.npz")
model = pgcore.load("cartpole.npz", env="CartPole-v1")
model.learn(20_000, reset_num_timesteps=False)
print(f"after {model.num_timesteps} steps:", pgcore.evaluate_policy(model, "CartPole-v1", n_eval_episodes=20))
