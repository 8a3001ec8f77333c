"""Sources and parameters without what a reader must not or need not see of them."""

import re
from typing import Any

from medtune.config.schema import Section


def public_sources(source: str | list[str]) -> str | list[str]:
    """Returns each URI of a source as `public_source` does."""
    return public_source(source) if isinstance(source, str) else [*map(public_source, source)]


def public_source(uri: str) -> str:
    """Removes what a reader must not or need not see of a URI.

    That is folders outside the project, a URL's login and query, and the sha256 of a wheel, which
    its version already names.
    """
    uri = re.sub("^(pypi://[^#]*)#.*", r"\1", uri)
    uri = re.sub(r"^file://(/|~|(.*/)?\.\.(/|$))(.*/)?", "file://…/", uri)
    return re.sub(r"^(https?://)([^/@]*@)?([^?#]*)(\?[^#]*)?", r"\1\3", uri)


def public_params(**sections: Section) -> dict[str, dict[str, Any]]:
    """Returns the parameters of each section by name, without the private parts of sources."""
    params = {name: section.model_dump() for name, section in sections.items()}
    sources = params["download"].items()
    params["download"] = {name: public_sources(uri) for name, uri in sources if uri is not None}
    return params
