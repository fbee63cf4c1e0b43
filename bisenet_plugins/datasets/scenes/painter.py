"""How a synthetic street scene is put together: sky, ground, street far to near, then light and lens."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from .canvas import PAVEMENT, ROAD, SKY, Camera, Canvas, grey, noise
from .solids import paint_bonnet, paint_car, paint_fence, paint_house, paint_skyline
from .sprites import paint_bicyclist, paint_bin, paint_pedestrian, paint_pole, paint_sign, paint_tree

# Strength of the fine, middle and coarse noise that each class is textured with, in class order.
_TEXTURE = ((0.01, 0.02, 0.07), (0.06, 0.07, 0.07), (0.05, 0.05, 0.04), (0.07, 0.04, 0.07), (0.07, 0.07, 0.08),
            (0.16, 0.16, 0.08), (0.02, 0.02, 0.02), (0.08, 0.06, 0.05), (0.02, 0.02, 0.08), (0.05, 0.09, 0.04),
            (0.05, 0.09, 0.04))


def paint_sky(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint a gradient from zenith to horizon with clouds; blue, grey, white or evening."""
    size = (canvas.height, canvas.width)
    mood = rng.random()
    if mood < 0.5:
        top, low = np.array([rng.uniform(170, 240), rng.uniform(120, 180), rng.uniform(70, 140)]), grey(rng, 190, 235)
    elif mood < 0.85:
        top, low = grey(rng, 120, 215, 6), grey(rng, 165, 240, 6)
    else:
        top, low = grey(rng, 110, 170, 15), np.array([rng.uniform(110, 170), rng.uniform(150, 200), 225.0])
    ramp = np.clip(np.linspace(0, 1, canvas.height) * canvas.height / max(canvas.camera.horizon, 1), 0, 1)
    sky = (top + (low - top) * ramp[:, None])[:, None].astype(np.float32)
    clouds = noise(rng, size, canvas.height / 6) + 0.5 * noise(rng, size, canvas.height / 14)
    cover = np.clip((clouds - rng.uniform(-0.3, 1.8)) * 0.6, 0, 0.8)[..., None]
    canvas.image[:] = sky * (1 - cover) + cover * np.float32(rng.uniform(175, 250))
    canvas.label[:] = SKY


def paint_ground(canvas: Canvas, rng: np.random.Generator, left: float, right: float) -> None:
    """Paint pavement left and right of a road between two lateral positions, with kerbs and lane marks."""
    camera = canvas.camera
    near, far = camera.depth_at(canvas.height + 2) * 0.9, 400.0
    pavement, road = grey(rng, 95, 190, 10), grey(rng, 55, 140, 5)
    if rng.random() < 0.3:  # reddish or sandy paving
        pavement = pavement * np.array([0.75, 0.88, 1.08])

    def strip(x0: float, x1: float, z0: float, z1: float, class_id: int, colour: np.ndarray) -> None:
        canvas.world_polygon([(x0, 0, z0), (x1, 0, z0), (x1, 0, z1), (x0, 0, z1)], class_id, colour, depth=z0 * 0.6)

    canvas.polygon(np.array([(0, camera.horizon), (canvas.width, camera.horizon), (canvas.width, canvas.height),
                             (0, canvas.height)]), PAVEMENT, pavement)
    joint = pavement * 0.86
    for depth in np.geomspace(near, 30, 9):
        strip(left - 12, right + 12, depth, depth * 1.012, PAVEMENT, joint)
    strip(left, right, near, far, ROAD, road)
    kerb = np.clip(pavement * rng.uniform(0.75, 1.25), 0, 255)
    strip(left - 0.3, left, near, far, PAVEMENT, kerb)
    strip(right, right + 0.3, near, far, PAVEMENT, kerb)
    mark = grey(rng, 185, 245, 5)
    if rng.random() < 0.3:
        strip(left + 0.35, left + 0.5, near, far, ROAD, mark)
        strip(right - 0.5, right - 0.35, near, far, ROAD, mark)
    middle, length, gap = (left + right) / 2, rng.uniform(1.5, 4), rng.uniform(1.5, 5)
    start = near - rng.uniform(0, gap)
    while start < 70:
        strip(middle - 0.09, middle + 0.09, max(start, near), start + length, ROAD, mark)
        start += length + gap
    if rng.random() < 0.25:  # zebra crossing
        depth = rng.uniform(8, 16)
        for x in np.arange(left + 0.4, right - 0.4, 1.1):
            strip(x, x + 0.55, depth, depth + 2.5, ROAD, mark)
    if rng.random() < 0.5:  # patches of newer asphalt
        depth, x = rng.uniform(near, 20), rng.uniform(left, right - 1.5)
        strip(x, x + rng.uniform(0.6, 2), depth, depth * rng.uniform(1.1, 1.6), ROAD, road * rng.uniform(0.75, 1.2))


def paint_street(canvas: Canvas, rng: np.random.Generator, left: float, right: float) -> None:
    """Line both sides of a road with houses, then place the rest of the scene, all far to near."""
    todo: list[tuple[float, Callable[..., None], tuple]] = []
    sun = rng.uniform(0.62, 1.1)
    walls = {}
    for edge, light in ((left, sun), (right, 1.72 - sun)):
        side = np.sign(edge)
        walls[edge] = wall = edge + side * rng.uniform(2.4, 6.5)
        low, z = rng.random() < 0.4, rng.uniform(2, 12)
        while z < 90:
            long = rng.uniform(7, 20)
            if rng.random() < 0.78:
                tall = rng.uniform(3.2, 6.5) if low else rng.uniform(5, 14)
                todo.append((z + 1.0, paint_house, (wall + side * rng.uniform(0, 1.5), z, z + long, tall, light)))
            else:
                todo += [(depth, paint_tree, (wall + side * rng.uniform(1, 5), depth)) for depth in (z + 2, z + 5)]
            z += long + (rng.uniform(0.5, 6) if rng.random() < 0.5 else 0.0)

    def add(count: int, painter: Callable[..., None], low: float, high: float, inside: float, outside: float) -> None:
        for _ in range(count):
            edge = left if rng.random() < 0.5 else right
            depth = rng.uniform(low, high)
            todo.append((depth, painter, (edge + np.sign(edge) * rng.uniform(inside, outside), depth)))

    for edge in (left, right):
        if rng.random() < 0.72:
            z0, side = rng.uniform(4, 8), np.sign(edge)
            kerb = rng.random() < 0.25
            x = edge + side * 0.4 if kerb else walls[edge] - side * rng.uniform(0.2, 0.6)
            todo.append((z0 + 2.0 if kerb else z0 + 6.0, paint_fence, (x, z0, z0 + rng.uniform(8, 30))))
    add(int(rng.integers(1, 4)), paint_tree, 10, 32, 0.7, 3.0)
    add(int(rng.integers(2, 5)), paint_pole, 5.5, 14, 0.3, 0.8)
    add(int(rng.integers(1, 4)), paint_sign, 6, 12, 0.3, 1.2)
    add(int(rng.integers(2, 5)), paint_pedestrian, 5, 12, -0.3, 2.2)
    add(int(rng.integers(1, 3)), paint_bicyclist, 5.5, 12, -1.8, -0.2)
    add(int(rng.random() < 0.35), paint_bin, 8, 16, 0.5, 2.0)
    middle = (left + right) / 2
    for edge in (left, right):
        depth = rng.uniform(9, 22)
        for _ in range(int(rng.integers(0, 4))):  # parked along the kerb
            x = edge - np.sign(edge) * rng.uniform(0.95, 1.25)
            todo.append((depth, paint_car, (x, depth, rng.random() < 0.15)))
            depth += rng.uniform(5.5, 9)
    for _ in range(int(rng.integers(1, 3))):  # moving
        depth = rng.uniform(9, 35)
        lane = middle / 2 + (left if rng.random() < 0.5 else right) / 2
        todo.append((depth, paint_car, (lane + rng.normal(0, 0.3), depth, rng.random() < 0.2)))
    if rng.random() < 0.3:
        depth = rng.uniform(9, 16)
        todo.append((depth, paint_pedestrian, (rng.uniform(left, right), depth)))
    todo.sort(key=lambda item: -item[0])
    if rng.random() < 0.5:  # the shadow of one row of houses on the ground
        edge, reach = (left, right)[int(sun > 0.86)], rng.uniform(0.2, 0.9)
        far = edge - reach * edge * 1.4
        outline = np.array([(walls[edge], 0, 2.0), (far, 0, 2.0), (far, 0, 80.0), (walls[edge], 0, 80.0)])
        canvas.darken(canvas.camera.project(outline), rng.uniform(0.25, 0.5))
    for _, painter, place in todo:
        painter(canvas, rng, *place)


def light_and_lens(canvas: Canvas, rng: np.random.Generator) -> None:
    """Texture every class, then apply blur, sensor noise, colour cast, exposure and gamma."""
    size = (canvas.height, canvas.width)
    table = np.zeros((256, 3), np.float32)
    table[:len(_TEXTURE)] = _TEXTURE
    unit = canvas.height / 180
    gain = np.ones(size, np.float32)
    for level, cell in enumerate((1.0, 3.0 * unit, 18.0 * unit)):
        gain = gain + np.asarray(cv2.LUT(canvas.label, table[:, level].copy()), np.float32) * noise(rng, size, cell)
    image: np.ndarray = canvas.image.astype(np.float32) * gain[..., None]
    image = cv2.GaussianBlur(image, (3, 3), rng.uniform(0.35, 0.8) * max(unit, 0.7))
    image = image + np.float32(rng.uniform(1, 5)) * rng.standard_normal((*size, 1), dtype=np.float32)
    image = np.clip(image, 0, 255)
    levels = np.arange(256, dtype=np.float32)[:, None] / 255
    cast = rng.uniform(0.75, 1.25) * rng.uniform(0.92, 1.08, 3)
    curve = np.clip(levels * cast, 0, 1) ** rng.uniform(0.75, 1.3) * 255
    canvas.image = cv2.LUT(image.astype(np.uint8), curve.astype(np.uint8)[:, None])


def paint_scene(size: tuple[int, int], seed: int, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Paint one street scene, always the same one for the same arguments.

    Args:
        size: Height and width in pixels.
        seed: Names the collection of scenes.
        index: Names the scene in the collection.

    Shape:
        - Output: image ``(H, W, 3)`` uint8 BGR and label ``(H, W)`` uint8, ids 0 to 10 or 255 for void.

    Example:
        >>> image, label = paint_scene((90, 120), seed=0, index=3)
        >>> image.shape, label.shape, int(label[80, 60]) == ROAD
        ((90, 120, 3), (90, 120), True)
    """
    rng = np.random.default_rng([seed, index])
    height, width = size
    camera = Camera(focal=height * rng.uniform(0.98, 1.12), centre=width * rng.uniform(0.38, 0.62),
                    horizon=height * rng.uniform(0.40, 0.52), height=rng.uniform(1.3, 1.8))
    canvas = Canvas(size, camera, grey(rng, 150, 225), rng.uniform(70, 220))
    paint_sky(canvas, rng)
    left, right = -rng.uniform(2.6, 5.5), rng.uniform(2.6, 5.0)
    paint_skyline(canvas, rng)
    paint_ground(canvas, rng, left, right)
    paint_street(canvas, rng, left, right)
    if rng.random() < 0.35:
        paint_bonnet(canvas, rng)
    light_and_lens(canvas, rng)
    return canvas.image, canvas.label
