from typing_extensions import disjoint_base

from kvpool._core.namespace import Namespace
from kvpool._core.pool_reports import PoolReports

@disjoint_base
class PoolNamespaces(PoolReports):
    @property
    def max_namespaces(self) -> int: ...
    @property
    def namespaces(self) -> dict[str, Namespace]: ...
    def namespace(
        self, name: str, *, floor: int | None = None, cap: int | None = None, salt_hash: int | None = None
    ) -> Namespace: ...
