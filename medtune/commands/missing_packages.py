"""The line that a command prints if a package is not installed.

The command line needs it where packages are missing, so it imports only the standard library.
"""

FIRST_PARTY = ("app", "medtune", "stages")
INSTALL = "make .venv/run"  # unlike `make`, it does not run the pipeline too


def not_installed(package: str, installed_by: str = INSTALL) -> str:
    return f"the package {package} is not installed: run `{installed_by}`"


def failed_import(error: ModuleNotFoundError, installed_by: str = INSTALL) -> str:
    """Returns the line on a package that is not installed; a missing module of ours is a bug."""
    package = (error.name or "").partition(".")[0]
    if not package or package in FIRST_PARTY:
        raise error
    return not_installed(package, installed_by)
