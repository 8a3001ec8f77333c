"""Compares medtune with other tools in speed, answers and scores, one command each.

Results are in docs/benchmarks.md, those of check_choices in docs/evaluation.md.
"""
