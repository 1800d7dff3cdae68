from typing import final

@final
class BatchMemory:
    def __init__(self, *args: object) -> None: ...
