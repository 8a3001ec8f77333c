"""What stages, commands and app share: one package for each idea.

The docstring of a package says what lives there.
"""

import os
import sys

# Threads of torch that wait sleep instead of spinning. A step of training beside one other busy
# process then takes half as long again; spinning threads took up to 20 times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

if sys.platform == "win32":
    sys.exit("medtune runs on Linux and macOS; on Windows, run it in WSL")
