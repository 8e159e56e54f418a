"""The name under which a downloaded bundle is stored."""

from __future__ import annotations

_SUFFIX = ".zip"
_LONGEST_BYTES = 255
"""Length limit of a file name on common file systems."""


def download_name(file_name: str, sha: str) -> str:
    """Return a name for a ZIP from the name that its uploader gave it, or `SHA.zip` if nothing of that is left.

    An uploader may choose any label. It must not lead out of the folder, name a file that a shell, Python or another program reads by
    its name (`.bashrc`, `sitecustomize.py`), or begin like an option.
    """
    last = file_name.replace("\\", "/").rpartition("/")[2].strip().lstrip(".- ")
    if not last or last.lower() == _SUFFIX[1:]:
        return sha + _SUFFIX
    stem = last[: -len(_SUFFIX)] if last.lower().endswith(_SUFFIX) else last
    suffix = last[len(stem) :] or _SUFFIX
    return stem.encode()[: _LONGEST_BYTES - len(_SUFFIX)].decode(errors="ignore") + suffix
