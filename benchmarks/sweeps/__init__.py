"""How the cost of a block depends on one thing at a time."""
