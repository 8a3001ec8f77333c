"""What stages, commands and app share: one package for each idea.

The docstring of a package says what lives there.
"""

import sys

from medtune.runtime.threads import let_waiting_threads_sleep

if sys.platform == "win32":
    sys.exit("medtune runs on Linux and macOS; on Windows, run it in WSL")

let_waiting_threads_sleep()  # here, because torch reads it when it is imported
