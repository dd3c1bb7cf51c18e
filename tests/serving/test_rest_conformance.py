"""What TensorFlow Serving's REST interface answers, asked of whichever server runs."""

import gzip
import http.client
import json
import re

import httpx
import numpy as np
import pytest


def test_the_status_of_a_model_names_its_served_version(server):
    expected = {"version": "2", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    for path in ("/v1/models/scale", "/v1/models/scale/versions/2"):
        response = server.http.get(path)
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("application/json")
        assert response.json() == {"model_version_status": [expected]}


def test_several_versions_are_listed_newest_first(server):
    versions = server.http.get("/v1/models/labelled").json()["model_version_status"]
    assert [(version["version"], version["state"]) for version in versions] == [("2", "AVAILABLE"), ("1", "AVAILABLE")]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere", "Could not find any versions of model nowhere"),
        ("scale/versions/99", "Could not find version 99 of model scale"),
        ("scale/versions/1", "Could not find version 1 of model scale"),
        ("..%2F..%2Fetc%2Fpasswd", "Could not find any versions of model ../../etc/passwd"),
    ],
)
def test_the_status_of_what_is_not_there_is_not_found(server, path, message):
    response = server.http.get(f"/v1/models/{path}")
    assert (response.status_code, response.json()) == (404, {"error": message})


def test_a_version_may_have_leading_zeros(server):
    [version] = server.http.get("/v1/models/types").json()["model_version_status"]
    assert version["version"] == "5"
    assert server.predict("types/versions/5", {"inputs": {"a": [1], "b": ["x"]}})[0] == 200


def test_metadata_shows_signatures_with_dimensions_as_text(server):
    for path in ("/v1/models/labelled/versions/1/metadata", "/v1/models/labelled/labels/stable/metadata"):
        answer = server.http.get(path).json()
        assert answer["model_spec"]["name"] == "labelled"
        assert answer["model_spec"]["version"] == "1"
        signatures = answer["metadata"]["signature_def"]["signature_def"]
        assert {"serving_default", "count"} <= set(signatures)
        [(name, tensor)] = signatures["serving_default"]["inputs"].items()
        assert (name, tensor["dtype"]) == ("x", "DT_FLOAT")
        assert [dimension["size"] for dimension in tensor["tensor_shape"]["dim"]] == ["-1", "-1"]
        assert tensor["tensor_shape"]["unknown_rank"] is False
        assert signatures["serving_default"]["method_name"] == "tensorflow/serving/predict"
        assert set(signatures["count"]["outputs"]) == {"total", "factor"}


def test_metadata_of_what_is_not_there_is_not_found(server):
    response = server.http.get("/v1/models/nowhere/metadata")
    assert (response.status_code, response.json()["error"]) == (404, "Servable not found for request: Latest(nowhere)")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/models/scale"),
        ("GET", "/v1/models/scale:predict"),
        ("PUT", "/v1/models/scale:predict"),
        ("DELETE", "/v1/models/scale"),
        ("POST", "/v1/models/scale:PREDICT"),
        ("POST", "/v1/models/scale:explain"),
        ("GET", "/v1/models/scale/"),
        ("GET", "/v1/models/scale/versions/two"),
        ("POST", "/v1/models/scale/versions/1/labels/stable:predict"),
    ],
)
def test_other_paths_are_malformed(server, method, path):
    response = server.http.request(method, server.url + path)
    assert (response.status_code, response.json()) == (400, {"error": f"Malformed request: {method} {path}"})


def test_paths_are_not_followed_upwards(server):
    address = httpx.URL(server.url)
    connection = http.client.HTTPConnection(address.host, address.port)  # httpx would shorten the path
    connection.request("GET", "/v1/models/../../etc/passwd")
    response = connection.getresponse()
    assert response.status == 400
    assert json.load(response) == {"error": "Malformed request: GET /v1/models/../../etc/passwd"}
    connection.close()


def test_a_query_string_is_malformed(server):
    response = server.http.get("/v1/models/scale?pretty=1")
    assert response.status_code == 400
    assert response.json()["error"].startswith("Malformed request: GET /v1/models/scale")


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/models/scale", "/favicon.ico"])
def test_paths_outside_are_an_html_page(server, path):
    response = server.http.get(path)
    assert response.status_code == 404
    assert "<html" in response.text.lower()


def test_a_model_must_be_named(server):
    response = server.http.get("/v1/models")
    assert (response.status_code, response.json()) == (400, {"error": "Missing model name in request."})


def test_a_version_over_64_bits_is_refused_without_a_body(server):
    response = server.http.get(f"/v1/models/scale/versions/{2**63}")
    assert (response.status_code, response.content) == (400, b"")


def test_rows_in_rows_out(server):
    assert server.predict("scale", {"instances": [[1.0, 2.5], [3, -4]]}) == (200, {"predictions": [[2, 5], [6, -8]]})


def test_columns_in_columns_out(server):
    assert server.predict("scale", {"inputs": [[1.0, 2.5]]}) == (200, {"outputs": [[2, 5]]})
    assert server.predict("scale", {"inputs": {"x": [[1.0, 2.5]]}}) == (200, {"outputs": [[2, 5]]})


def test_several_tensors_are_objects(server):
    rows = [{"a": 7, "b": "seven"}, {"b": "eight", "a": 8}]
    assert server.predict("types", {"instances": rows}) == (200, {"predictions": rows})
    columns = {"a": [7, 8], "b": ["seven", "eight"]}
    assert server.predict("types", {"inputs": columns}) == (200, {"outputs": columns})


def test_versions_and_labels_choose(server):
    body = {"instances": [[3.0]]}
    for target, expected in [("versions/1", 3), ("versions/2", 6), ("labels/stable", 3), ("labels/canary", 6)]:
        assert server.predict(f"labelled/{target}", body) == (200, {"predictions": [[expected]]})
    assert server.predict("labelled", body) == (200, {"predictions": [[6]]})


def test_names_are_decoded(server):
    assert server.predict("with%20space", {"instances": [[3.0]]}) == (200, {"predictions": [[6]]})


def test_content_type_and_further_keys_are_ignored(server):
    body = json.dumps({"instances": [[3.0]], "further": {"keys": [1]}})
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "image/png", "nonsense"):
        response = server.http.post("/v1/models/scale:predict", content=body, headers={"Content-Type": content_type})
        assert (response.status_code, response.json()) == (200, {"predictions": [[6]]})


def test_a_packed_body_is_unpacked(server):
    body = gzip.compress(json.dumps({"instances": [[3.0]]}).encode())
    response = server.http.post("/v1/models/scale:predict", content=body, headers={"Content-Encoding": "gzip"})
    assert (response.status_code, response.json()) == (200, {"predictions": [[6]]})


def test_a_chunked_body_is_joined(server):
    chunks = iter([b'{"insta', b'nces": [[3', b".0]]}"])
    response = server.http.post("/v1/models/scale:predict", content=chunks)
    assert (response.status_code, response.json()) == (200, {"predictions": [[6]]})


def test_a_body_of_100_megabytes_is_accepted(server):
    body = b'{"instances": [[3.0]]' + b" " * 100_000_000 + b"}"
    assert server.predict("scale", body) == (200, {"predictions": [[6]]})


@pytest.mark.parametrize(
    ("signature", "value"),
    [
        ("float32", [0.1, -2.5e-7, 16777215]),
        ("float64", [0.1, 1e300, 9007199254740991]),
        ("int32", [2147483647, -2147483648]),
        ("int64", [9223372036854775807, -9223372036854775808, 9007199254740993]),
        ("uint8", [0, 255]),
        ("bool", [True, False]),
        ("string", ["ä", "", 'quote " and \\ and \n', "\u0000", "🎬"]),
        ("int64", [[[1, 2]], [[3, 4]]]),
        ("float32", [[], []]),
        ("int32", 7),
        ("string", "alone"),
    ],
)
def test_values_come_back_as_they_went(server, signature, value):
    status, answer = server.predict("types", {"signature_name": signature, "inputs": value})
    assert status == 200, answer
    assert answer == {"outputs": value}


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_frames_come_back_as_they_went(server, separators):
    frames = np.random.default_rng(4).integers(0, 256, (2, 3, 20, 30, 3)).tolist()
    bodies = {
        "predictions": [{"instances": frames}, {"instances": [{"x": clip} for clip in frames]}],
        "outputs": [{"inputs": frames}, {"inputs": {"x": frames}}],
    }
    for signature in ("uint8", "int64", "float32"):
        for key, answers in bodies.items():
            for body in answers:
                text = json.dumps({"signature_name": signature, **body}, separators=separators)
                assert server.predict("types", text) == (200, {key: frames})
    frames[1][2][19][29][1] = 0.5
    message = server.error("types", {"signature_name": "uint8", "instances": frames})
    assert message.startswith(
        "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: 0.5"
    )


def test_64_bit_integers_stay_integers(server):
    text = server.post("types", {"signature_name": "int64", "inputs": [9007199254740993]}).text
    assert re.search(r"\[\s*9007199254740993\s*\]", text)


def test_what_is_no_number_is_bare_both_ways(server):
    for signature in ("float32", "float64"):
        body = f'{{"signature_name": "{signature}", "inputs": [NaN, Infinity, -Infinity]}}'
        text = server.post("types", body).text
        assert re.search(r"\[\s*NaN,\s*Infinity,\s*-Infinity\s*\]", text)


@pytest.mark.parametrize(
    ("signature", "value", "type_name"),
    [
        ("int32", 1.0, "int32"),
        ("int64", 1.0, "int64"),
        ("uint8", "1", "uint8"),
        ("int64", 2**63, "int64"),
        ("int32", True, "int32"),
        ("bool", 1, "bool"),
        ("bool", "true", "bool"),
        ("string", 1, "string"),
        ("float32", "1", "float"),
        ("float64", None, "double"),
        ("float32", True, "float"),
    ],
)
def test_values_of_another_type_are_refused(server, signature, value, type_name):
    message = server.error("types", {"signature_name": signature, "inputs": [value]})
    assert message.startswith("JSON Value: ")
    assert message.endswith(f"is not of expected type: {type_name}")


def test_b64_alone_means_bytes(server):
    body = {"signature_name": "bytes", "instances": [{"b64": "+/8="}, {"b64": "+/8"}, "text"]}
    assert server.predict("types", body) == (
        200,
        {"predictions": [{"b64": "+/8="}, {"b64": "+/8="}, {"b64": "dGV4dA=="}]},
    )
    body = {"signature_name": "string", "inputs": {"b64": "dGV4dA=="}}
    assert server.predict("types", body) == (200, {"outputs": "text"})


def test_the_alphabet_of_addresses_is_refused(server):
    message = server.error("types", {"signature_name": "bytes", "instances": [{"b64": "-_8="}]})
    assert "Unable to base64 decode" in message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "JSON Parse error: The document is empty"),
        ({}, "Missing 'inputs' or 'instances' key"),
        ({"instances": [[1]], "signature_name": "s"}, 'Serving signature name: "s" not found in signature def'),
    ],
)
def test_malformed_predictions_are_told_apart(server, body, message):
    assert server.error("scale", body) == message


@pytest.mark.parametrize("body", ['{"instances": [', "instances", '{"instances": [[1.0]]} more', '{"a": 01}', "\x00"])
def test_what_is_no_json_is_a_parse_error(server, body):
    assert server.error("scale", body).startswith("JSON Parse error: ")


@pytest.mark.parametrize(
    "body",
    [
        "[1, 2]",
        '"instances"',
        {"instances": []},
        {"instances": {"x": [1]}},
        {"instances": [[1.0]], "inputs": [[1.0]]},
        {"instances": [[1.0]], "signature_name": 7},
        {"instances": [[1.0], 1.0]},
        {"instances": [[1.0], [1.0, 2.0]]},
        {"instances": [[1.0, [2.0]]]},
        {"inputs": [[1.0], [1.0, 2.0]]},
        {"inputs": {"z": [[1.0]]}},
        {"instances": [{"x": [1.0]}, [1.0]]},
        {"instances": [{"x": [1.0], "z": 1}]},
        {"inputs": None},
    ],
)
def test_bodies_of_another_form_are_refused(server, body):
    assert server.error("scale", body)


def test_a_missing_input_is_named(server):
    assert server.error("types", {"inputs": {"b": ["x"]}}) == "Missing named input: a in 'inputs' object."


def test_the_first_wrong_element_is_named(server):
    message = server.error("types", {"instances": [{"a": 1, "b": "x"}, {"a": 1.5, "b": "x"}]})
    assert re.match(r"(?s)Failed to process element: 1 key: a of 'instances' list\. Error: INVALID_ARGUMENT: ", message)
    message = server.error("types", {"signature_name": "int64", "instances": [1, 2, "3"]})
    assert re.match(r"(?s)Failed to process element: 2 of 'instances' list\. Error: INVALID_ARGUMENT: ", message)


def test_outputs_in_rows_need_one_batch_size(server):
    body = {"signature_name": "uneven", "instances": [1.0, 2.0]}
    message = server.error("shapes", body)
    assert message in (
        "Tensor name: b has inconsistent batch size: 1 expecting: 2",
        "Tensor name: a has inconsistent batch size: 2 expecting: 1",
    )
    body = {"signature_name": "uneven", "inputs": [1.0, 2.0]}
    assert server.predict("shapes", body) == (200, {"outputs": {"a": [1, 2], "b": [3]}})


def test_half_precision_has_no_json(server):
    message = server.error("types", {"signature_name": "half", "inputs": [1.0]})
    assert message == "Failed to write JSON value for tensor type: half"


@pytest.mark.parametrize("image", [[[1.0, 2.0]], 1.0, [[[[1.0]]]], [[[[[1.0]]]]]])
def test_another_rank_is_refused_and_the_server_lives(server, image):
    assert server.error("shapes", {"inputs": image})
    assert server.http.get("/v1/models/shapes").status_code == 200


@pytest.mark.parametrize(
    ("target", "status", "message"),
    [
        ("nowhere", 404, "Servable not found for request: Latest(nowhere)"),
        ("scale/versions/99", 404, "Servable not found for request: Specific(scale, 99)"),
        ("labelled/labels/beta", 400, "Unrecognized servable version label: beta"),
        ("..%2Fscale", 404, "Servable not found for request: Latest(../scale)"),
    ],
)
def test_predictions_of_what_is_not_there_are_refused(server, target, status, message):
    assert server.error(target, {"instances": [[1.0]]}, status) == message


@pytest.mark.parametrize("verb", ["classify", "regress"])
def test_signatures_that_predict_do_nothing_else(server, verb):
    response = server.http.post(f"/v1/models/scale:{verb}", json={"examples": [{"x": [1.0]}]})
    assert response.status_code == 400
    assert list(response.json()) == ["error"]


def test_requests_are_counted(server):
    def count():
        page = server.http.get("/monitoring/prometheus/metrics").text
        found = re.search(r'^:tensorflow:serving:request_count\{model_name="scale",status="OK"\} (\S+)$', page, re.M)
        return float(found[1]) if found else 0.0

    before = count()
    for _ in range(3):
        server.predict("scale", {"instances": [[1.0]]})
    assert count() >= before + 3
