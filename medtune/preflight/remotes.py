"""The DVC remote that a team shares, and whether the package that reaches it is installed."""

from importlib.util import find_spec
from urllib.parse import urlsplit

PACKAGES = {"s3": "dvc-s3", "ssh": "dvc-ssh"}  # of requirements-remotes.txt


def default_remote() -> str:
    """Returns the address of DVC's default remote; empty if there is none."""
    from dvc.config import Config, ConfigError

    try:
        config = Config(".dvc")
        return config["remote"][config["core"]["remote"]]["url"]
    except (ConfigError, KeyError):  # KeyError: no default, or one that is not configured
        return ""


def missing_package(address: str) -> str:
    """Returns the package that DVC lacks for an address, or nothing.

    Only s3:// and ssh:// are known; DVC names the package for the others itself.
    """
    package = PACKAGES.get(urlsplit(address).scheme, "")
    return package if package and not _installed(package) else ""


def _installed(package: str) -> bool:
    try:
        return find_spec(package.replace("-", "_")) is not None
    except ValueError:  # its place in sys.modules is blocked
        return False
