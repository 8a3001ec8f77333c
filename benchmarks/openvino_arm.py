"""OpenVINO GenAI with continuous batching; needs openvino-genai and optimum-intel."""

import tempfile
from collections.abc import Callable

import numpy as np
import openvino
import openvino_genai
from optimum.exporters.openvino import main_export
from optimum.intel import OVConfig

from benchmarks.engines import Ids, Job, serve

CACHE_GIB = 4


def load(job: Job) -> Callable[[Ids], Ids]:
    scheduler = openvino_genai.SchedulerConfig()
    scheduler.cache_size = CACHE_GIB
    scheduler.max_num_seqs = job.questions
    scheduler.max_num_batched_tokens = 512
    scheduler.enable_prefix_caching = False  # or a later round would find its prompts done
    properties = {
        "INFERENCE_PRECISION_HINT": "f32",
        "KV_CACHE_PRECISION": "f32",
        "INFERENCE_NUM_THREADS": job.threads,
    }
    with tempfile.TemporaryDirectory() as folder:
        main_export(
            job.model,
            folder,
            task="text-generation-with-past",
            ov_config=OVConfig(dtype="fp32"),
            convert_tokenizer=True,
        )
        pipeline = openvino_genai.ContinuousBatchingPipeline(folder, scheduler, "CPU", properties)
    config = pipeline.get_config()
    config.max_new_tokens, config.do_sample = job.max_new_tokens, False
    config.stop_token_ids = set(job.ends)

    def answer(prompts: Ids) -> Ids:
        inputs = [openvino.Tensor(np.array([ids], dtype=np.int64)) for ids in prompts]
        results = pipeline.generate(inputs, [config] * len(prompts))
        return [list(result.m_generation_ids[0]) for result in results]

    return answer


if __name__ == "__main__":
    serve("openvino", load)
