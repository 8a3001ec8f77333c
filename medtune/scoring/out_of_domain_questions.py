"""Questions that no medical card answers, to see what fine-tuning did to everything else."""

import pyarrow as pa

SCHEMA = pa.schema(  # of a table of answers to them
    [("question", pa.string()), ("prediction", pa.string()), ("stopped", pa.bool_())]
)
QUESTIONS = (
    "What is the capital of France?",
    "Write a haiku about the sea.",
    "What is 17 plus 25?",
    "Translate 'good morning' into Spanish.",
    "Who wrote Romeo and Juliet?",
    "Name three primary colours.",
    "Why is the sky blue?",
    "How do I boil an egg?",
    "Write a Python function that reverses a string.",
    "What is the boiling point of water at sea level?",
    "Give me one tip for learning to play the guitar.",
    "Hello! How are you today?",
)
