import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.services.serving.conftest import DIGEST, VERSION, picture

PREDICT = "/v1/predict"


def samples(fresh: httpx.Client) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample of the page by name and labels, without the model's own labels."""
    response = fresh.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    own = {("model", "tiny"), ("version", VERSION)}
    return {
        (sample.name, frozenset(sample.labels.items()) - own): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def of(
    found: dict[tuple[str, frozenset[tuple[str, str]]], float], name: str, **labels: str
) -> float:
    return found.get((name, frozenset(labels.items())), 0.0)


def test_requests_are_counted_by_route_and_code(fresh: httpx.Client) -> None:
    fresh.post(PREDICT, json={"images": [picture(1)]})
    fresh.post(PREDICT, json={"images": [picture(1)]})
    fresh.post(PREDICT, json={"images": []})
    fresh.post("/nowhere", json={})

    found = samples(fresh)

    total = "modelyard_requests_total"
    assert of(found, total, route=PREDICT, code="200") == 2
    assert of(found, total, route=PREDICT, code="400") == 1
    assert of(found, total, route="unknown", code="404") == 1


def test_every_series_of_a_request_names_model_and_version(fresh: httpx.Client) -> None:
    fresh.post(PREDICT, json={"images": [picture(1)]})

    ours = [
        sample
        for family in text_string_to_metric_families(fresh.get("/metrics").text)
        for sample in family.samples
        if sample.name.startswith("modelyard_")
    ]

    assert len(ours) > 10
    assert {(sample.labels["model"], sample.labels["version"]) for sample in ours} == {
        ("tiny", VERSION)
    }


def test_latency_has_buckets_from_100_microseconds_to_10_seconds(
    fresh: httpx.Client,
) -> None:
    fresh.post(PREDICT, json={"images": [picture(1)]})

    bounds = sorted(
        float(dict(labels)["le"])
        for name, labels in samples(fresh)
        if name == "modelyard_request_duration_seconds_bucket" and ("route", PREDICT) in labels
    )

    assert bounds[0] == 0.0001
    assert bounds[-2:] == [10.0, float("inf")]
    assert sum(bound < 0.001 for bound in bounds) >= 3


def test_predicted_items_are_counted_by_label(fresh: httpx.Client) -> None:
    fresh.post(PREDICT, json={"images": [picture(4), picture(4), picture(6)]})

    found = samples(fresh)

    assert of(found, "modelyard_predictions_total", label="4") == 2
    assert of(found, "modelyard_predictions_total", label="6") == 1


def test_the_digest_of_the_image_is_told(fresh: httpx.Client) -> None:
    assert of(samples(fresh), "modelyard_model_info", digest=DIGEST) == 1


def test_unknown_paths_make_no_series_of_their_own(fresh: httpx.Client) -> None:
    fresh.get("/first")
    before = set(samples(fresh))

    for path in ("/a", "/b", "/c/d", "/v9/predict"):
        fresh.get(path)

    assert set(samples(fresh)) == before
