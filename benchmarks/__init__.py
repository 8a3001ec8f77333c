"""Compares speed with other tools, one command each; results are in docs/benchmarks.md."""
