"""Prometheus's own tool has nothing to say against the exposition."""

import subprocess

import pytest

pytest.importorskip("prometheus_client", reason="prometheus_client is not installed")


def check(promtool, text):
    return subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, timeout=60, check=False)


@pytest.mark.parametrize("options", [{}, {"duplicates": "keep", "max_namespaces": 0, "reuse_sampling": 0.0}])
def test_promtool_finds_nothing_wrong_with_a_busy_pool(promtool, metrics, new_pool, use, options):
    pools = [new_pool(metrics.pool(name), **options) for name in ("my_pool", "other")]
    held = [use(pool, seed) for seed, pool in enumerate(pools, 1)]
    done = check(promtool, metrics.exposition())
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    del held


@pytest.mark.parametrize(
    "text", [b"# HELP kvpool_evictions Blocks.\n# TYPE kvpool_evictions counter\nkvpool_evictions 1\n", b"kvpool{ 1\n"]
)
def test_promtool_finds_what_is_wrong(promtool, text):
    done = check(promtool, text)
    assert done.returncode != 0
    assert done.stdout + done.stderr != b""
