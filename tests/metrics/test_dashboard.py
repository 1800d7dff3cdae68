"""The Grafana dashboard shows what pools expose: promtool reads each expression, and each finds data."""

import json
import re
import subprocess
from pathlib import Path

import pytest

DASHBOARD = json.loads((Path(__file__).parents[2] / "docs" / "grafana" / "kvpool.json").read_text())
VARIABLES = {"$__rate_interval": "1m", "$pool": "my.*"}


def targets():
    """Return what each panel asks for, with the name of a recording rule for it."""
    return [
        pytest.param(target["expr"], id=f"panel_{panel['id']}_{target['refId']}")
        for panel in DASHBOARD["panels"]
        for target in panel["targets"]
    ]


def filled_in(expression):
    """Return an expression as Grafana sends it."""
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, "there are variables that nobody knows"
    return expression


def named_in(text):
    """Return the names of metrics in an expression or a query."""
    return set(re.findall(r"\bkv(?:bm|pool)_\w+", text))


def variable(name):
    (found,) = (each for each in DASHBOARD["templating"]["list"] if each["name"] == name)
    return found


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def scrapes(metrics, new_pool, use, scrape):
    """What was scraped of a busy pool, and what it was after it had done more."""
    pool = new_pool(metrics.pool("my_pool"), event_capacity=64)
    with pool:
        pool.subscribe(lambda batch: None)
        held = use(pool, 1)
        before = scrape(metrics)
        del held  # the blocks are needed again
        use(pool, 2)
        after = scrape(metrics)
    return before, after


def series_of(before, after):
    """Return series for promtool that go on as from the first scrape to the second."""
    result = []
    for (name, *labels), value in after.items():
        written = ",".join(f"{label}={json.dumps(text)}" for label, text in [*labels, ("instance", "here:8000")])
        step = value - before.get((name, *labels), 0.0) if re.search("_(total|bucket|count|sum)$", name) else 0.0
        result.append({"series": f"{name}{{{written}}}", "values": f"{value:.12f}+{step:.12f}x40"})
    return result


def test_the_dashboard_asks_for_something():
    assert len(targets()) >= 30
    assert len({target.values[0] for target in targets()}) >= 25


@pytest.mark.parametrize("expression", targets())
def test_every_metric_of_an_expression_is_exposed(expression, scrapes):
    assert named_in(expression) - {name for name, *_ in scrapes[1]} == set()
    assert named_in(expression)


@pytest.mark.parametrize("expression", targets())
def test_every_expression_heeds_the_chosen_pool(expression):
    assert expression.count('{pool=~"$pool"') == len(re.findall(r"\bkv(?:bm|pool)_\w+", expression))


def test_the_pools_to_choose_from_are_those_that_are_exposed(scrapes):
    pool = variable("pool")
    asked = re.fullmatch(r"label_values\((\w+), (\w+)\)", pool["query"]["query"])
    labels = [dict(labels) for name, *labels in scrapes[1] if name == asked[1]]
    assert {each[asked[2]] for each in labels} == {"my_pool"}
    assert pool["multi"]
    assert pool["includeAll"]


def test_promtool_reads_every_expression(promtool, tmp_path):
    rules = [{"record": f"dashboard:{each.id}", "expr": filled_in(each.values[0])} for each in targets()]
    path = tmp_path / "rules.json"  # JSON is YAML
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = run(promtool, "check", "rules", str(path))
    assert (done.returncode, done.stderr) == (0, "")
    assert f"SUCCESS: {len(rules)} rules found" in done.stdout


def test_promtool_refuses_an_expression_that_is_broken(promtool, tmp_path):
    path = tmp_path / "rules.json"
    rule = {"record": "dashboard:broken", "expr": "sum by (pool (kvpool_blocks)"}
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": [rule]}]}))
    assert run(promtool, "check", "rules", str(path)).returncode != 0


def check_data(promtool, folder, series, expressions):
    """Have promtool look whether each expression gives series, and a number for each of them."""
    checks = []
    for expression in expressions:
        is_a_number = f"count(({expression}) >= -Inf) / count({expression})"
        checks.append({"expr": is_a_number, "eval_time": "8m", "exp_samples": [{"labels": "{}", "value": 1}]})
    test = {"interval": "15s", "input_series": series, "promql_expr_test": checks}
    path = folder / "tests.json"
    path.write_text(json.dumps({"tests": [test]}))
    return run(promtool, "test", "rules", str(path))


def test_every_expression_finds_data_of_a_busy_pool(promtool, tmp_path, scrapes):
    done = check_data(promtool, tmp_path, series_of(*scrapes), [filled_in(each.values[0]) for each in targets()])
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "expression", ['sum(kvpool_blocks{state="lost"})', "kvpool_no_such_metric", "kvpool_waiting / kvpool_waiting"]
)
def test_an_expression_without_data_is_noticed(promtool, tmp_path, scrapes, expression):
    assert check_data(promtool, tmp_path, series_of(*scrapes), [expression]).returncode != 0


def test_panels_do_not_lie_on_each_other():
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in DASHBOARD["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_panels_say_what_they_show_and_take_the_chosen_source():
    source = {"type": "prometheus", "uid": "${datasource}"}
    assert variable("datasource")["type"] == "datasource"
    for panel in DASHBOARD["panels"]:
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert [panel["datasource"], *(target["datasource"] for target in panel["targets"])] == [source] * (
            len(panel["targets"]) + 1
        )
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
