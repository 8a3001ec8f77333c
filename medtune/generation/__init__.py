"""Generates answers: one loop for evaluation and terminal, its key-value cache, and vLLM as
another engine. Imports runtime, config and modeling. Used by the evaluate stage, by
continuous_batching and by `medtune ask`.
"""
