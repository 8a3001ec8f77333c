"""Generates answers: one loop for evaluation and terminal, its key-value cache, and OpenVINO
and vLLM as other engines. Imports runtime, config and modeling. Used by the evaluate stage, by
the app's continuous batching and by `medtune ask`.
"""
