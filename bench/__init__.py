"""Speed and memory of the daemon, as ratios to a bare relay measured in the same run."""
