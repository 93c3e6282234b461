"""Layers that a browser lays over a picture."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ui.overlay import LAYER_PX, MASK_DIM, draw_mask, heat_layer, mask_layer


def test_heat_is_clear_where_there_is_none_and_strongest_at_its_peak() -> None:
    heat = np.zeros((60, 80), np.float32)
    heat[20:30, 40:50] = np.linspace(0.1, 1.0, 10)
    layer = heat_layer(heat)
    assert (layer.mode, layer.size) == ("RGBA", (80, 60))
    opacity = np.asarray(layer)[:, :, 3]
    assert opacity[heat == 0].max() == 0
    assert opacity[25, 49] == opacity.max() > 150
    assert (np.diff(opacity[25, 40:50].astype(int)) > 0).all()


def test_the_heat_of_a_large_picture_is_sent_small() -> None:
    heat = np.zeros((600, 800), np.float32)
    heat[300:, 400:] = 1.0
    layer = heat_layer(heat)
    assert layer.size == (LAYER_PX, LAYER_PX * 3 // 4)
    opacity = np.asarray(layer)[:, :, 3]
    assert opacity[:149].max() == 0
    assert opacity[151:, 201:].min() == opacity.max()


def test_heat_of_nothing_is_clear() -> None:
    layer = heat_layer(np.zeros((10, 10), np.float32))
    assert np.asarray(layer)[:, :, 3].max() == 0


def test_a_mask_laid_over_a_picture_shows_what_is_drawn_elsewhere() -> None:
    mask = np.zeros((30, 40), bool)
    mask[10:20, 10:30] = True
    picture = Image.new("RGB", (40, 30), (200, 120, 40))
    laid = Image.alpha_composite(picture.convert("RGBA"), mask_layer(mask)).convert("RGB")
    drawn = np.asarray(draw_mask(picture, mask)).astype(int)
    assert np.abs(np.asarray(laid).astype(int) - drawn).max() <= 1
    assert np.asarray(laid)[0, 0, 0] == round(200 * MASK_DIM)
