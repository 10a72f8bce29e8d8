"""What several test files share: oracles, problems, small environments, and ways to run commands."""
