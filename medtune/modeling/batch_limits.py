"""How much a model computes at once. `medtune check` reads this without loading torch."""

LOSS_BATCH = 16  # rows whose losses are computed together
# 512 MiB in fp32. On a CPU, 16 MiB: larger blocks of memory come fresh from the system each time.
LOGITS_AT_ONCE, CPU_LOGITS_AT_ONCE = 2**27, 2**22
MOST_PACKED = 500_000_000  # weights to pack for training: two copies of more fill a CPU's memory
