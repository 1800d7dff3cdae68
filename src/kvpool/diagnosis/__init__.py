"""Looking into a pool: dumps, what is wrong with them, and a server for those who look from outside."""

from kvpool.diagnosis.call_times import CallTimes
from kvpool.diagnosis.dump_error import DumpError
from kvpool.diagnosis.examine import FINDING_KINDS, examine
from kvpool.diagnosis.exposition import read_exposition
from kvpool.diagnosis.finding import Finding
from kvpool.diagnosis.pool_client import PoolClient
from kvpool.diagnosis.pool_dump import PoolDump
from kvpool.diagnosis.pool_sample import PoolSample
from kvpool.diagnosis.pool_server import PoolServer
from kvpool.diagnosis.server import serve

__all__ = [
    "FINDING_KINDS",
    "CallTimes",
    "DumpError",
    "Finding",
    "PoolClient",
    "PoolDump",
    "PoolSample",
    "PoolServer",
    "examine",
    "read_exposition",
    "serve",
]
