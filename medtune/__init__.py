"""What the stages and the app share, and the commands: one package for each idea.

The docstring of a package says what lives there, what it imports and what uses it.
"""

import sys

from medtune.runtime.threads import let_waiting_threads_sleep

if sys.platform == "win32":
    sys.exit("medtune runs on Linux and macOS; on Windows, run it in WSL")

let_waiting_threads_sleep()  # here, because torch reads it when it is imported
