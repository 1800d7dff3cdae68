"""Tokens of a sequence, cut into blocks and hashed."""

from kvpool.tokens.salt import keyed_salt_hash, router_salt_hash
from kvpool.tokens.token_block import TokenBlock
from kvpool.tokens.token_block_sequence import TokenBlockSequence

__all__ = ["TokenBlock", "TokenBlockSequence", "keyed_salt_hash", "router_salt_hash"]
