import re

import pytest
import torch

from medtune.runtime import stage
from medtune.runtime.out_of_memory import out_of_memory

CUDA = (
    "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 14.57 GiB of "
    "which 1.23 GiB is free. Including non-PyTorch memory, this process has 13.30 GiB in use."
)


def test_a_full_gpu_says_what_was_asked_what_is_free_and_what_to_lower() -> None:
    assert out_of_memory(torch.cuda.OutOfMemoryError(CUDA), "train") == (
        "out of memory on the GPU: 2.50 GiB was asked for, 1.23 GiB is free: lower "
        "train.tokens_per_pass or train.per_device_train_batch_size, or set "
        "train.gradient_checkpointing to true"
    )


def test_what_torch_says_of_a_full_main_memory_is_understood() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    line = out_of_memory(caught.value, "evaluate_base")
    pattern = (
        r"out of main memory: 1073741824.00 GiB was asked for, [\d.]+ GiB is free: "
        r"lower evaluate.batch_size"
    )
    assert line and re.fullmatch(pattern, line)


def test_python_does_not_say_how_much_it_asked_for() -> None:
    line = out_of_memory(MemoryError(), "clean")
    assert line and line.startswith("out of main memory: more was asked for, ")


def test_other_errors_are_not_about_memory() -> None:
    assert out_of_memory(RuntimeError("shapes differ"), "train") is None


@pytest.mark.slow
def test_a_stage_ends_with_this_line(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        stage.run("train", lambda: torch.empty(2**60, dtype=torch.uint8).numel())
    assert caught.value.code == 1
    printed = capfd.readouterr().err
    assert printed.startswith("train: out of main memory: 1073741824.00 GiB was asked for")
    assert printed.count("\n") == 1
