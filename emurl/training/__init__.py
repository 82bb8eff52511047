"""The RL room: what the agent sees, what it is paid, where its episodes begin, and PPO."""
