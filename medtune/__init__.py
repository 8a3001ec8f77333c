"""What the stages and the app share, and the commands: one package for each idea.

The docstring of a package says what lives there, what it imports and what uses it.
"""

from medtune.runtime.platform_check import refuse_windows
from medtune.runtime.threads import let_waiting_threads_sleep

refuse_windows()
let_waiting_threads_sleep()  # here, because torch reads it when it is imported
