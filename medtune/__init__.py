"""What stages, commands and app share: one package for each idea.

The docstring of a package says what lives there.
"""

import sys

if sys.platform == "win32":
    sys.exit("medtune runs on Linux and macOS; on Windows, run it in WSL")
