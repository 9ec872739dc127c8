import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecam_engines.tensorrt.inspect import Layer, layers_of


def layer(name: str, reads: str, kind: str = "CaskConvolution", **more: Any) -> dict[str, Any]:
    """As the inspector writes it with detailed verbosity."""
    tensor = {"Name": "x", "Location": "Device", "Dimensions": [1, 8, 8, 8], "Format/Datatype": reads}
    return {"Name": name, "LayerType": kind, "Inputs": [tensor], "Outputs": [tensor], **more}


@pytest.mark.parametrize(
    ("told", "precision"),
    [
        ("Int8", "int8"),
        ("Half", "fp16"),
        ("Float", "fp32"),
        ("Row major linear FP16 format", "fp16"),
        ("Row major linear FP32", "fp32"),
        ("Thirty-two wide channel vectorized row major Int8 format.", "int8"),
        ("N/A due to dynamic shapes", "?"),
        ("UInt8", "uint8"),
    ],
)
def test_every_way_in_which_tensorrt_names_a_format_is_understood(told: str, precision: str) -> None:
    (found,) = layers_of({"Layers": [layer("look", told)]}, "fp32").layers
    assert found == Layer("look", "CaskConvolution", precision, on_dla=False)


def test_a_float_convolution_that_reads_int8_is_no_int8_layer() -> None:
    """Its weights tell what it computes in."""
    report = {
        "Layers": [
            layer("real", "Int8", Weights={"Type": "Int8", "Count": 216}),
            layer("false", "Int8", Weights={"Type": "Float", "Count": 216}),
        ]
    }
    found = layers_of(report, "int8")
    assert [one.precision for one in found.layers] == ["int8", "fp32"]
    assert [one.name for one in found.fell_back] == ["false"]


def test_what_only_moves_numbers_never_falls_back() -> None:
    report = {"Layers": [layer("copy", "Float", kind="Reformat"), layer("softmax", "Float", kind="SoftMax")]}
    found = layers_of(report, "int8")
    assert [one.name for one in found.fell_back] == ["softmax"]
    assert layers_of(report, "fp32").fell_back == []


def test_the_summary_counts_precisions_and_names_a_few_that_fell_back() -> None:
    report = {"Layers": [layer(f"conv {i}", "Half") for i in range(5)] + [layer("q", "Int8")]}
    found = layers_of(report, "int8")
    assert found.document() == {
        "layers": 6,
        "precisions": {"fp16": 5, "int8": 1},
        "on_dla": 0,
        "fell_back": [f"conv {i}" for i in range(5)],
    }
    assert str(found) == (
        "6 layers: 5 in fp16, 1 in int8; "
        "5 in a higher precision than asked: conv 0, conv 1, conv 2 and 2 more"
    )


def test_layers_on_the_dla_are_counted() -> None:
    report = {"Layers": [layer("{ForeignNode[a...b]}", "Half", kind="DLA"), layer("c", "Half")]}
    assert layers_of(report, "fp16").document()["on_dla"] == 1


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["Layers", "Inputs", "Outputs", "Name", "LayerType", "Weights", "Type", "Format"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.just("Layers"), anything), st.sampled_from(["fp32", "fp16", "int8", "other"]))
def test_a_report_of_any_shape_gives_a_summary(report: dict[str, Any], precision: str) -> None:
    found = layers_of(report, precision)
    json.dumps(found.document())
    assert len(found.fell_back) <= len(found.layers)
    assert str(found).startswith(f"{len(found.layers)} layers")
