"""How much is answered at once. `medtune check` reads this without loading torch."""

ROW_TOKENS = 256  # of prompt and answer together, for which a whole batch has room in its cache
# Tokens of prompts that run together: enough for full speed.
TOKENS_AT_ONCE, GPU_TOKENS_AT_ONCE = 2_048, 16_384
