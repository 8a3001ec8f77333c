"""Side-by-side speed against other tools: one command each, results in benchmarks/README.md."""
