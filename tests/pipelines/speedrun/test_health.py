"""What the doctor says of models in the store: fine, doubtful with a mend, and silent on what was never measured."""

from emurl import doctor
from emurl.core.config import load_config
from emurl.core.store import Store
from emurl.pipelines.speedrun.health import NORMS, of_metrics
from tests.fixtures.store import facts

GOOD = {
    "splits": 30,
    "order_correlation": 0.999,
    "pair_accuracy": 0.98,
    "aliasing_auc": 0.99,
    "farming_gain_max": 0.03,
    "loss": 9,
}


def test_a_norm_holds_at_its_bound():
    for norm in NORMS:
        bound = norm.least if norm.least is not None else norm.most
        off = -0.01 if norm.least is not None else 0.01
        assert norm.met_by(bound) and not norm.met_by(bound + off), norm


def test_what_was_not_measured_is_not_asked_for():
    health = of_metrics("reward@v3", "reward", {"splits": 12, "spearman_ram": None})
    assert health.unmet == () and health.told == {"splits": 12.0} and health.seen == "reward@v3: splits 12"


def test_a_judge_that_pays_for_circles_is_named_with_its_mend():
    health = of_metrics("reward@v3", "reward", GOOD | {"farming_gain_max": 0.3, "aliasing_auc": 0.5})
    assert health.seen.startswith(
        "reward@v3: aliasing_auc 0.5, expected at least 0.9; farming_gain_max 0.3, expected at most 0.1; splits 30"
    )
    assert [norm.mend.split(":")[0] for norm in health.unmet] == [
        "places that come twice are confused",
        "walking in circles is paid",
    ]


def test_the_doctor_reads_the_store(tmp_path):
    config = load_config(None, [f"store={tmp_path}"])
    assert doctor._models(config) == []
    store = Store(tmp_path)
    with store.making("speedrun", "reward", "f" * 64) as output:
        output.metrics.update(GOOD | {"pair_accuracy": 0.7})
        store.publish(output, facts("speedrun", "reward", "f" * 64))
    (check,) = doctor._models(config)
    assert (check.name, check.verdict) == ("reward", "warning")
    assert "reward@v1: pair_accuracy 0.7, expected at least 0.95" in check.seen and "alignment.rounds" in check.mend


def test_a_metric_that_is_a_word_is_said(tmp_path):
    config, store = load_config(None, [f"store={tmp_path}"]), Store(tmp_path)
    with store.making("speedrun", "reward", "f" * 64) as output:
        output.metrics.update(GOOD | {"pair_accuracy": "high"})
        store.publish(output, facts("speedrun", "reward", "f" * 64))
    (check,) = doctor._models(config)
    assert (check.name, check.verdict) == ("models", "warning")
    assert check.seen == "reward@v1: metrics.pair_accuracy is 'high', expected a number"
