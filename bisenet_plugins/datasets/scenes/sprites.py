"""Flat things of a synthetic street scene that face the camera: people, trees, posts, signs and bins."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .canvas import BICYCLIST, PEDESTRIAN, POLE, SIGN, TREE, VOID, Canvas, grey

Points = Sequence[tuple[float, float]]


class Sprite:
    """A flat thing that faces the camera and stands on the ground at ``(x, z)``; drawn in metres from its foot.

    Args:
        canvas: What is painted on.
        x: Lateral position in metres.
        z: Depth in metres.
        class_id: Class of every part.
        mirror: Whether left and right are swapped.
    """

    def __init__(self, canvas: Canvas, x: float, z: float, class_id: int, mirror: bool = False) -> None:
        """Place the sprite."""
        self.canvas, self.z, self.class_id = canvas, z, class_id
        self.foot = canvas.camera.project(np.array([x, 0.0, z]))
        self.scale = canvas.camera.focal / z
        self.unit = np.array([-self.scale if mirror else self.scale, -self.scale])

    def at(self, points: Points | tuple[float, float]) -> np.ndarray:
        """Turn points in metres from the foot (right, up) into pixels."""
        return self.foot + np.asarray(points, dtype=np.float64) * self.unit

    def poly(self, points: Points, colour: np.ndarray) -> None:
        """Fill a polygon."""
        self.canvas.polygon(self.at(points), self.class_id, colour, self.z)

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: np.ndarray) -> None:
        """Fill a rectangle."""
        self.poly([(x0, y0), (x0, y1), (x1, y1), (x1, y0)], colour)

    def bar(self, x0: float, y0: float, x1: float, y1: float, width: float, colour: np.ndarray) -> None:
        """Draw a bar of a width in metres, never thinner than one and a half pixels, between two points."""
        half = max(width, 1.5 / self.scale) / 2 / max(math.hypot(y0 - y1, x1 - x0), 1e-6)
        dx, dy = (y0 - y1) * half, (x1 - x0) * half
        self.poly([(x0 + dx, y0 + dy), (x1 + dx, y1 + dy), (x1 - dx, y1 - dy), (x0 - dx, y0 - dy)], colour)

    def oval(self, x: float, y: float, rx: float, ry: float, colour: np.ndarray, line: float = 0) -> None:
        """Draw an ellipse; with ``line`` in metres only its rim is coloured."""
        thickness = max(int(round(line * self.scale)), 1) if line else -1
        self.canvas.ellipse(
            self.at((x, y)), (rx * self.scale, ry * self.scale), self.class_id, colour, self.z, thickness)


def clothes(rng: np.random.Generator) -> np.ndarray:
    """Draw a colour of clothing: mostly dark or saturated."""
    return grey(rng, 20, 90) if rng.random() < 0.35 else rng.uniform(15, 235, 3)


def skin(rng: np.random.Generator) -> np.ndarray:
    """Draw a colour of skin."""
    return np.array([110.0, 140.0, 200.0]) * rng.uniform(0.35, 1.15)


def foliage(rng: np.random.Generator) -> np.ndarray:
    """Draw a colour of leaves: green mostly, brown or yellow sometimes."""
    base = (35, 85, 55) if rng.random() < 0.75 else ((45, 95, 125) if rng.random() < 0.5 else (60, 75, 80))
    return np.clip(np.array(base) * rng.uniform(0.6, 1.5) + rng.normal(0, 8, 3), 5, 250)


def paint_tree(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Paint a trunk and a crown of many dabs of leaf."""
    if not canvas.sees(x, z, 3.5):
        return
    tree = Sprite(canvas, x, z, TREE)
    crown, tall = rng.uniform(1.3, 2.6), rng.uniform(3.6, 6.0)
    canvas.ground_shadow(x, z, crown * 0.8, crown * 0.8)
    tree.bar(0, 0, rng.normal(0, 0.1), tall - crown * 0.6, rng.uniform(0.25, 0.5), grey(rng, 35, 90) * (0.8, 0.9, 1.05))
    leaf = foliage(rng)
    spread = rng.normal(0, 0.36, (14 if z < 25 else 6, 2)) * crown
    tree.oval(0, tall, crown * 0.7, crown * 0.6, leaf * 0.6)
    for step, (dx, dy) in enumerate(spread):
        tree.oval(dx, tall + dy * 0.9, crown * rng.uniform(0.32, 0.6), crown * rng.uniform(0.28, 0.5),
                  leaf * (0.65 + 0.5 * step / len(spread)) * rng.uniform(0.85, 1.15))


def paint_pole(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Paint a lamp post, with an arm over the street most times."""
    pole = Sprite(canvas, x, z, POLE, mirror=x > 0)
    wide, tall = max(rng.uniform(0.2, 0.3), canvas.height * 0.024 / pole.scale), rng.uniform(5, 8)
    colour = [grey(rng, 25, 70), grey(rng, 110, 170), grey(rng, 170, 220), np.array([60.0, 90, 40])][rng.integers(4)]
    pole.bar(0, 0, 0, tall, wide, colour)
    pole.bar(-wide * 0.15, 0, -wide * 0.15, tall, wide * 0.3, np.clip(colour * 1.35 + 10, 0, 255))
    pole.bar(0, 0, 0, 0.9, wide * 1.3, colour * 0.85)
    if rng.random() < 0.7:
        pole.bar(0, tall, 1.5, tall + 0.25, wide * 0.7, colour)


def paint_sign(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Paint a traffic sign or a traffic light on its post; the post is a pole."""
    sign = Sprite(canvas, x, z, POLE)
    size, low = max(rng.uniform(0.42, 0.62), canvas.height * 0.04 / sign.scale), rng.uniform(2.0, 2.7)
    sign.bar(0, 0, 0, low + size, max(0.12, canvas.height * 0.018 / sign.scale), grey(rng, 70, 180))
    sign.class_id = SIGN
    middle = low + size
    white, ink = grey(rng, 215, 250, 4), grey(rng, 10, 50, 4)
    vivid = np.array([(40, 30, 190), (180, 80, 20), (40, 190, 230), (60, 120, 30), (45, 45, 45)][
        int(rng.integers(5))]) * rng.uniform(0.8, 1.2)
    kind = rng.integers(4)
    if kind == 0:
        sign.oval(0, middle, size, size, vivid)
        sign.oval(0, middle, size * 0.68, size * 0.68, white)
        sign.bar(-size * 0.4, middle, size * 0.4, middle, size * 0.25, ink)
    elif kind == 1:
        sign.poly([(-size, low), (0, middle + size), (size, low)], vivid)
        base = low + size * 0.28
        sign.poly([(-size * 0.55, base), (0, middle + size * 0.45), (size * 0.55, base)], white)
    elif kind == 2:
        sign.box(-size, low, size, middle + size, white)
        sign.box(-size * 0.82, low + size * 0.2, size * 0.82, middle + size * 0.8, vivid)
        sign.bar(-size * 0.5, middle, size * 0.5, middle, size * 0.22, white)
    else:
        tall, half = size * 1.15, size * 0.6
        sign.box(-half, low, half, low + 2 * tall, ink)
        lit = int(rng.integers(3))
        for spot, lamp in enumerate(((70, 200, 60), (30, 170, 240), (40, 40, 240))):
            bright = 1.0 if spot == lit else 0.3
            sign.oval(0, low + tall * (0.35 + 0.65 * spot), size * 0.28, size * 0.28, np.array(lamp) * bright)


def paint_pedestrian(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Paint a person who stands or walks."""
    person = Sprite(canvas, x, z, PEDESTRIAN, mirror=bool(rng.random() < 0.5))
    tall = rng.uniform(1.6, 1.95)
    coat, legs, stride = clothes(rng), clothes(rng), rng.uniform(0.05, 0.28)
    canvas.ground_shadow(x, z, 0.45, 0.4)
    hip, neck = tall * 0.48, tall * 0.84
    person.bar(-0.06, hip, -stride, 0, 0.2, legs * 0.85)
    person.bar(0.06, hip, stride, 0, 0.2, legs)
    person.poly([(-0.24, hip - 0.12), (-0.27, neck - 0.08), (-0.12, neck), (0.12, neck), (0.27, neck - 0.08),
                 (0.24, hip - 0.12)], coat)
    person.bar(0.25, neck - 0.08, 0.25 + stride * 0.7, hip - 0.05, 0.15, coat * 0.8)
    person.bar(-0.25, neck - 0.08, -0.25 - stride * 0.4, hip - 0.05, 0.15, coat * 0.9)
    person.oval(0, tall * 0.92, 0.13, tall * 0.085, skin(rng))
    person.oval(0, tall * 0.965, 0.13, tall * 0.045, grey(rng, 15, 110) * (0.8, 0.9, 1.0))
    if rng.random() < 0.3:
        person.box(-0.42, hip - 0.1, -0.2, hip + 0.25, clothes(rng))


def paint_bicyclist(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Paint a rider on a bicycle, from the side or from the front."""
    rider = Sprite(canvas, x, z, BICYCLIST, mirror=bool(rng.random() < 0.5))
    coat, legs, frame, dark = clothes(rng), clothes(rng), rng.uniform(20, 220, 3), grey(rng, 15, 50, 4)
    if rng.random() < 0.4:  # a bright jacket
        coat = np.array([40.0, rng.uniform(140, 230), 235.0]) * rng.uniform(0.75, 1)
    helmet = rng.uniform(20, 240, 3)
    if rng.random() < 0.6:
        canvas.ground_shadow(x, z, 0.95, 0.3)
        for wheel in (-0.55, 0.55):
            rider.oval(wheel, 0.36, 0.36, 0.36, dark, line=0.09)
        for x0, y0, x1, y1 in ((-0.55, 0.36, -0.2, 0.9), (-0.2, 0.9, 0.42, 0.85), (0.42, 0.85, 0.55, 0.36),
                               (-0.2, 0.85, 0.02, 0.36), (0.02, 0.36, 0.42, 0.8), (0.4, 0.8, 0.36, 1.1)):
            rider.bar(x0, y0, x1, y1, 0.07, frame)
        rider.bar(-0.2, 0.98, 0.12, 0.7, 0.2, legs)
        rider.bar(0.12, 0.7, 0.02, 0.25, 0.16, legs)
        rider.poly([(-0.36, 0.95), (-0.1, 1.5), (0.14, 1.46), (0.0, 0.92)], coat)
        rider.bar(0.05, 1.4, 0.38, 1.12, 0.13, coat * 0.85)
        head = (0.12, 1.64)
    else:
        canvas.ground_shadow(x, z, 0.45, 0.8)
        rider.oval(0, 0.36, 0.1, 0.36, dark)
        rider.bar(-0.34, 1.08, 0.34, 1.08, 0.08, dark)
        rider.bar(-0.16, 0.95, -0.2, 0.4, 0.19, legs)
        rider.bar(0.16, 0.95, 0.2, 0.25, 0.19, legs * 0.9)
        rider.poly([(-0.22, 0.9), (-0.3, 1.45), (0.3, 1.45), (0.22, 0.9)], coat)
        rider.bar(-0.28, 1.4, -0.34, 1.08, 0.13, coat * 0.85)
        rider.bar(0.28, 1.4, 0.34, 1.08, 0.13, coat * 0.85)
        head = (0.0, 1.62)
    rider.oval(*head, 0.12, 0.15, skin(rng))
    rider.oval(head[0], head[1] + 0.09, 0.14, 0.09, helmet)


def paint_bin(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Paint a bin, which is void."""
    litter = Sprite(canvas, x, z, VOID)
    colour = clothes(rng)
    litter.poly([(-0.3, 0), (-0.34, 1.0), (0.34, 1.0), (0.3, 0)], colour)
    litter.box(-0.37, 0.95, 0.37, 1.1, colour * 0.7)
