"""The salt hash under which a router looks for blocks."""

from __future__ import annotations

from kvpool._core.hashing import hash_bytes

_ROUTER_SALT_HASH = 1337


def router_salt_hash(lora_name: str | None = None, salt: str | None = None) -> int:
    """Return the salt hash that a Dynamo router gives to the blocks of an adapter and a tenant.

    Parameters
    ----------
    lora_name : str, optional
        Name of the LoRA adapter. An empty name counts as none.
    salt : str, optional
        What keeps a tenant's blocks apart. An empty salt counts as none.

    Returns
    -------
    int
        In [0, 2**64): 1337, plus XXH3-64 of the name under seed 0, plus XXH3-64 of the salt under seed 1, as in
        Dynamo's token hashing. Both are hashed as UTF-8.

    Raises
    ------
    TypeError
        If an argument is neither a `str` nor `None`.

    Examples
    --------
    >>> from kvpool import router_salt_hash, sequence_hashes
    >>> router_salt_hash()
    1337
    >>> sequence_hashes([1, 2, 3, 4], block_size=4, salt_hash=router_salt_hash()).tolist()
    [14643705804678351452]
    """
    total = _ROUTER_SALT_HASH
    for name, text, seed in (("lora_name", lora_name, 0), ("salt", salt, 1)):
        if text is not None and not isinstance(text, str):
            raise TypeError(f"{name} must be a str or None, not {type(text).__name__}")
        if text:
            total += hash_bytes(text.encode(), seed)
    return total % 2**64
