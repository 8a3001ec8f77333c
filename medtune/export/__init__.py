"""Writes cards and the fine-tuned model for other programs: cards as CSV, JSON Lines, Parquet and
a `datasets` folder, the model as merged weights or GGUF. Imports runtime, config, modeling and
report; used by `medtune export`.
"""
