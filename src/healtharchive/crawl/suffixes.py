"""Below which names anybody may register one of their own (publicsuffix.org)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tldextract import TLDExtract

REMEMBERED_NAMES = 4096


@lru_cache(maxsize=REMEMBERED_NAMES)
def registered_site(host: str) -> str:
    """The name that a host's owner has registered: example.org; empty when there is none."""
    return _suffixes()(host).top_domain_under_public_suffix


@lru_cache(maxsize=REMEMBERED_NAMES)
def is_public_suffix(name: str) -> bool:
    """Whether names below this one belong to different owners: ca, gc.ca, github.io."""
    return not _suffixes()(name).domain


@lru_cache(maxsize=1)
def _suffixes() -> TLDExtract:
    from tldextract import TLDExtract  # its list takes a while to read

    # The list that came with the library: nothing is fetched for it.
    return TLDExtract(suffix_list_urls=(), cache_dir=None, include_psl_private_domains=True)
