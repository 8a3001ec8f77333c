"""llama.cpp, all prompts as parallel sequences; needs llama-cpp-python, gguf and safetensors."""

import ctypes
import tempfile
from collections.abc import Callable, Sequence
from itertools import takewhile
from pathlib import Path

import llama_cpp
import numpy as np

from benchmarks.engines import Ids, Job, serve
from benchmarks.gguf_file import write_gguf

Token = tuple[int, int, int, bool]  # id, position, sequence, whether its logits are wanted


@llama_cpp.llama_log_callback
def silent(level: int, text: bytes, data: object) -> None:
    pass


class Context:
    """A model with its cache: a stream of its own for each sequence, all in fp32."""

    def __init__(self, path: Path, job: Job) -> None:
        llama_cpp.llama_log_set(silent, None)
        options = llama_cpp.llama_model_default_params()
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), options)
        params = llama_cpp.llama_context_default_params()
        room = -(-(job.longest + job.max_new_tokens) // 256) * 256
        params.n_seq_max, params.kv_unified = job.questions + 1, False
        params.n_ctx = room * params.n_seq_max
        params.n_batch = job.questions * job.longest
        params.n_threads = params.n_threads_batch = job.threads
        params.type_k = params.type_v = llama_cpp.GGML_TYPE_F32
        self.context = llama_cpp.llama_init_from_model(self.model, params)
        self.memory = llama_cpp.llama_get_memory(self.context)
        self.batch = llama_cpp.llama_batch_init(params.n_batch, 0, 1)
        vocabulary = llama_cpp.llama_model_get_vocab(self.model)
        self.vocabulary_size = llama_cpp.llama_vocab_n_tokens(vocabulary)

    def next_ids(self, tokens: Sequence[Token]) -> list[int]:
        """The likeliest id after each token whose logits are wanted."""
        batch = self.batch
        batch.n_tokens = len(tokens)
        for n, (token, position, sequence, wanted) in enumerate(tokens):
            batch.token[n], batch.pos[n], batch.logits[n] = token, position, wanted
            batch.n_seq_id[n], batch.seq_id[n][0] = 1, sequence
        if failed := llama_cpp.llama_decode(self.context, batch):
            raise RuntimeError(f"llama_decode returned {failed}")
        wanted_count = sum(token[3] for token in tokens)
        if not wanted_count:
            return []
        logits = llama_cpp.llama_get_logits(self.context)
        shape = (wanted_count, self.vocabulary_size)
        rows = np.ctypeslib.as_array(ctypes.cast(logits, ctypes.POINTER(ctypes.c_float)), shape)
        return rows.argmax(axis=1).tolist()


def load(job: Job) -> Callable[[Ids], Ids]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.gguf"
        write_gguf(Path(job.model), path)
        context = Context(path, job)
    return lambda prompts: answer(context, prompts, job)


def answer(context: Context, prompts: Ids, job: Job) -> Ids:
    """Sequence 0 is what all prompts begin with, which runs once; the others are the prompts."""
    columns = zip(*(ids[:-1] for ids in prompts), strict=False)
    shared = sum(1 for _ in takewhile(lambda ids: len(set(ids)) == 1, columns))
    llama_cpp.llama_memory_clear(context.memory, False)
    context.next_ids([(prompts[0][n], n, 0, False) for n in range(shared)])
    tokens: list[Token] = []
    for sequence, ids in enumerate(prompts, start=1):
        llama_cpp.llama_memory_seq_cp(context.memory, 0, sequence, -1, -1)
        last = len(ids) - 1
        tokens += [(ids[n], n, sequence, n == last) for n in range(shared, len(ids))]
    new: Ids = [[] for _ in prompts]
    running = list(range(1, len(prompts) + 1))
    while running:
        for sequence, token in zip(running, context.next_ids(tokens), strict=True):
            new[sequence - 1].append(token)
        if len(new[running[0] - 1]) == job.max_new_tokens:
            break
        running = [sequence for sequence in running if new[sequence - 1][-1] not in job.ends]
        tokens = []
        for sequence in running:
            ids = new[sequence - 1]
            position = len(prompts[sequence - 1]) + len(ids) - 1
            tokens.append((ids[-1], position, sequence, True))
    return new


if __name__ == "__main__":
    serve("llama_cpp", load)
