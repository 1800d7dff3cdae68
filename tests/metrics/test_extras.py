"""Pools and metrics work without the packages that export them, which are imported when they are needed."""

import pytest

WITHOUT = """
    import sys

    for name in ("prometheus_client", "opentelemetry"):
        sys.modules[name] = None  # an import of it fails, as if it were not installed

    from kvpool import BlockPool
    from kvpool.metrics import BlockManagerMetrics

    metrics = BlockManagerMetrics()
    pool = BlockPool(8, pool_metrics=metrics.pool("my_pool"))
"""


def test_metrics_can_be_read_without_any_extra(run_python):
    program = (
        WITHOUT
        + """
    blocks = pool.allocate_blocks(3)
    print(metrics.read()[0].status.mutable)
    """
    )
    assert run_python(program) == "3\n"


@pytest.mark.parametrize(
    ("call", "package"),
    [
        ("collector", "prometheus_client"),
        ("register", "prometheus_client"),
        ("exposition", "prometheus_client"),
        ("observe", "opentelemetry-api"),
    ],
)
def test_a_missing_package_is_named_with_the_extra_that_has_it(run_python, call, package):
    program = (
        WITHOUT
        + f"""
    try:
        metrics.{call}()
    except ImportError as error:
        print(error)
    """
    )
    said = run_python(program)
    assert package in said
    assert "pip install 'kvpool[metrics]'" in said


def test_exporters_are_imported_when_they_are_needed(run_python):
    program = """
        import sys
        from kvpool import BlockPool
        from kvpool.metrics import BlockManagerMetrics

        metrics = BlockManagerMetrics()
        pool = BlockPool(8, pool_metrics=metrics.pool("my_pool"))
        metrics.read()
        print([name for name in sys.modules if name.startswith(("prometheus_client", "opentelemetry"))])
    """
    assert run_python(program) == "[]\n"
