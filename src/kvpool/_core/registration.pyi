from typing import final

__pyx_capi__: dict[str, object]

@final
class Registration:
    def __init__(self, *args: object) -> None: ...
