"""What the benchmarks of privacy share: sites that train as they do, and what attackers do."""
