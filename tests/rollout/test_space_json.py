"""Spaces through JSON and back."""

from __future__ import annotations

import json
from collections import OrderedDict

import numpy as np
import pytest
from gymnasium import spaces

from pgcore.io import space_from_json, space_to_json
from support.toy_envs import ACTION_SPACES, OBSERVATION_SPACES


@pytest.mark.parametrize(
    "space",
    [
        *OBSERVATION_SPACES,
        *ACTION_SPACES,
        spaces.Box(np.array([0.1, -np.inf], np.float32), np.array([1 / 3, np.inf], np.float32)),
        spaces.Dict({"b": spaces.Discrete(2), "a": spaces.Discrete(3)}),
        spaces.Tuple([]),
    ],
    ids=str,
)
def test_spaces_survive_json(space):
    text = json.dumps(space_to_json(space), allow_nan=False)
    again = space_from_json(json.loads(text))
    assert again == space
    assert again.dtype == space.dtype
    if isinstance(space, spaces.Box):
        np.testing.assert_array_equal(again.low, space.low)
        np.testing.assert_array_equal(again.high, space.high)
    if isinstance(space, spaces.Dict):
        assert list(again.spaces) == list(space.spaces)


def test_order_of_a_dict_survives_json():
    space = spaces.Dict(OrderedDict([("b", spaces.Discrete(2)), ("a", spaces.Discrete(3))]))
    again = space_from_json(json.loads(json.dumps(space_to_json(space))))
    assert list(again.spaces) == ["b", "a"]


def test_a_large_uniform_box_stays_small():
    assert len(json.dumps(space_to_json(spaces.Box(0, 255, (84, 84, 4), np.uint8)))) < 120


def test_json_refusals():
    with pytest.raises(ValueError, match=r"space: expected a Box, .*, got Text"):
        space_to_json(spaces.Text(3))
    with pytest.raises(ValueError, match=r"space: expected a Box, .*, got Dict"):
        space_to_json(spaces.Dict({(1, 2): spaces.Discrete(2)}))
    with pytest.raises(TypeError, match="space: expected a gymnasium space, got 'Box'"):
        space_to_json("Box")
    negative = {"kind": "Discrete", "n": -1, "start": 0, "dtype": "int64"}
    for broken in ({}, {"kind": "Text"}, {"kind": "Discrete"}, negative, []):
        with pytest.raises(ValueError, match="description: expected one of space_to_json"):
            space_from_json(broken)
