"""Things of a synthetic street scene that have depth: houses, fences and cars, and the far end of the street."""

from __future__ import annotations

import numpy as np

from .canvas import BUILDING, CAR, FENCE, TREE, VOID, Canvas, grey, upright
from .sprites import Sprite, foliage


def lacquer(rng: np.random.Generator) -> np.ndarray:
    """Draw a car's colour: white, silver, black, or any (green and sky blue too)."""
    pick = rng.random()
    if pick < 0.5:
        return grey(rng, *((200, 245), (110, 175), (15, 60))[int(pick * 6)], 6)
    return np.clip(np.array([(40, 40, 190), (170, 80, 30), (70, 120, 50), (60, 170, 200), (150, 150, 90)][
        int(rng.integers(5))]) * rng.uniform(0.6, 1.25) + rng.normal(0, 14, 3), 0, 255)


def paint_skyline(canvas: Canvas, rng: np.random.Generator) -> None:
    """Close the street with far buildings and far trees."""
    camera = canvas.camera
    ground = camera.horizon + 2
    for class_id, rounds in ((BUILDING, 5), (TREE, 4)):
        for _ in range(rounds):
            u = camera.centre + rng.normal(0, 0.3) * canvas.width
            half, top = canvas.width * rng.uniform(0.04, 0.14), camera.horizon - canvas.height * rng.uniform(0.02, 0.12)
            if class_id == BUILDING:
                canvas.polygon(np.array([(u - half, ground), (u - half, top), (u + half, top), (u + half, ground)]),
                               BUILDING, grey(rng, 90, 190, 12), 60)
            else:
                colour = foliage(rng)
                for shift in (-0.6, 0.0, 0.6):
                    canvas.ellipse(np.array([u + shift * half, (ground + top) / 2 + 2]),
                                   (half * 0.6, (ground - top) * 0.6), TREE, colour * rng.uniform(0.85, 1.1), 50)


def paint_house(canvas: Canvas, rng: np.random.Generator, x: float, z0: float, z1: float, tall: float,
                light: float) -> None:
    """Paint a box house: the wall along the street with windows in perspective, and the end wall."""
    side = np.sign(x)
    base = grey(rng, 75, 215, 10) * np.array([(1, 1, 1), (0.7, 0.8, 1.1), (0.75, 0.92, 1.02), (0.6, 0.65, 1.05),
                                              (1.1, 1.0, 0.9)][int(rng.integers(5))])
    wall, end = np.clip(base * light, 0, 255), np.clip(base * (1.55 - light * 0.65) * 0.9, 0, 255)
    roof = tall + (rng.uniform(1, 2.5) if rng.random() < 0.4 else 0.0)
    if roof > tall:
        canvas.world_polygon([(x, tall, z0), (x + side * 2, roof, z0), (x + side * 2, roof, z1), (x, tall, z1)],
                             BUILDING, np.array([60.0, 70, 95]) * rng.uniform(0.6, 1.5))
    canvas.world_polygon(upright(x, 0, tall, z0, z1), BUILDING, wall)
    outer = x + side * rng.uniform(7, 14)
    canvas.world_polygon([(x, 0, z0), (x, tall, z0), (x + side * 2, roof, z0), (outer, roof, z0), (outer, 0, z0)],
                         BUILDING, end)
    glass = wall * rng.uniform(0.3, 0.6) + np.array([35.0, 25, 15]) if rng.random() < 0.8 else wall * 1.3 + 25
    glass, sill = np.clip(glass, 0, 255), np.clip(wall * 1.18 + 12, 0, 255)
    floors, pitch, wide = max(int(tall / 3.1), 1), rng.uniform(2.2, 3.6), rng.uniform(0.9, 1.6)
    shop = rng.random() < 0.4
    z = np.arange(z0 + 0.6, z1 - wide, pitch)
    z = z[(z + wide > 4) & (z < 60)]
    for floor in range(floors if len(z) else 0):
        low, high = floor * 3.1 + (0.3 if floor == 0 and shop else 1.0), floor * 3.1 + 2.5
        canvas.world_polygon(upright(x, low - 0.12, high, z - 0.1, z + wide + 0.1), None, sill)
        canvas.world_polygon(upright(x, low, high, z, z + wide), None, glass)
    across = np.arange(1.2, abs(outer - x) - wide, pitch) if 4 < z0 < 60 else np.empty(0)
    for floor in range(floors if len(across) else 0):
        panes = upright(0, floor * 3.1 + 1.0, floor * 3.1 + 2.5, x + side * across, x + side * (across + wide))
        panes[..., 0], panes[..., 2] = panes[..., 2].copy(), z0
        canvas.world_polygon(panes, None, glass)


def paint_fence(canvas: Canvas, rng: np.random.Generator, x: float, z0: float, z1: float) -> None:
    """Paint a fence along the street: solid planks, or pickets and rails that show what is behind."""
    tall = rng.uniform(1.1, 1.7)
    colour = [grey(rng, 40, 120), grey(rng, 150, 235), np.array([50.0, 85, 120]), np.array([60.0, 90, 50])][
        int(rng.integers(4))] * rng.uniform(0.8, 1.15)
    solid = rng.random() < 0.5
    canvas.world_polygon(upright(x, 0, tall, z0, z1), FENCE, colour if solid else None)
    for low, high in ((tall - 0.12, tall), (0.25, 0.37)):
        canvas.world_polygon(upright(x, low, high, z0, z1), FENCE, colour * 0.8)
    z = z0 * 1.07 ** np.arange(int(np.log(min(z1, 45) / z0) / np.log(1.07)) + 1)
    wide, shade = (1.035, 0.68) if solid else (1.03, 0.9)
    canvas.world_polygon(upright(x, 0, tall, z, z * wide), None, colour * shade)


def paint_car(canvas: Canvas, rng: np.random.Generator, x: float, z: float, van: bool) -> None:
    """Paint a car or a van as an extruded profile: its end, and the side that faces the camera."""
    if not canvas.sees(x, z + 5, 3.0):
        return
    body, glass, tyre = lacquer(rng), grey(rng, 30, 95, 8), grey(rng, 15, 40, 3)
    half, long = rng.uniform(0.82, 0.95), rng.uniform(3.7, 4.8)
    roof, belt = (rng.uniform(2.0, 2.6), 1.15) if van else (rng.uniform(1.4, 1.65), 0.88)
    front = 0.04 if van else rng.uniform(0.06, 0.16)
    back = 0.06 if van else rng.uniform(0.24, 0.32)
    profile = np.array([(0.0, 0.3), (0.0, belt), (front, belt + 0.04), (front + 0.08, roof), (1 - back - 0.14, roof),
                        (1 - back, belt + 0.05), (1.0, belt - 0.1), (1.0, 0.3)])
    z_side, y_side = z + profile[:, 0] * long, profile[:, 1]
    inner = x - half if x > 0 else x + half
    canvas.ground_shadow(x, z + long / 2, half * 1.25, long * 0.58)

    def side(at: float) -> np.ndarray:
        return np.stack((np.full(len(profile), at), y_side, z_side), 1)

    for at in (x + x - inner, x):
        canvas.world_polygon(side(at), CAR, body)
    for step in range(len(profile) - 1):  # roof, screens, tail: strips between the two profiles
        z0, z1, y0, y1 = z_side[step], z_side[step + 1], y_side[step], y_side[step + 1]
        if step == 2 or z1 - z0 < 1e-6 or (y1 - y0 < 0.1 and max(y0, y1) < canvas.camera.height):
            strip = [(x - half, y0, z0), (x + half, y0, z0), (x + half, y1, z1), (x - half, y1, z1)]
            canvas.world_polygon(strip, CAR, {0: body, 2: glass}.get(step, np.clip(body * 1.12, 0, 255)))
    canvas.world_polygon(side(inner), CAR, body * 0.72)
    window = [(inner, belt + 0.05, z + long * (front + 0.06)), (inner, roof - 0.1, z + long * (front + 0.11)),
              (inner, roof - 0.1, z + long * (1 - back - 0.16)), (inner, belt + 0.05, z + long * (1 - back - 0.04))]
    canvas.world_polygon(window, CAR, glass)
    turn = np.linspace(0, 2 * np.pi, 10, endpoint=False)
    for place in (0.19, 0.8):
        canvas.world_polygon(np.stack((np.full(10, inner), 0.32 + 0.32 * np.sin(turn),
                                       z + long * place + 0.32 * np.cos(turn)), 1), CAR, tyre)
    lamp = np.array([40.0, 40, 210]) if rng.random() < 0.6 else grey(rng, 200, 250)
    end = Sprite(canvas, x, z, CAR)
    end.box(-half, 0.28, half, belt, body * 0.95)
    end.poly([(-half * 0.9, belt), (-half * 0.72, roof), (half * 0.72, roof), (half * 0.9, belt)],
             np.clip(body * 1.05, 0, 255))
    end.poly([(-half * 0.8, belt + 0.06), (-half * 0.64, roof - 0.1), (half * 0.64, roof - 0.1),
              (half * 0.8, belt + 0.06)], glass)
    for edge in (-1, 1):
        out, mid = edge * half * 0.95, edge * half * 0.68
        end.box(out, belt - 0.28, mid, belt - 0.06, lamp)
        end.box(out, 0, mid, 0.34, tyre)
    end.box(-0.27, 0.45, 0.27, 0.58, grey(rng, 190, 240, 15))
    end.box(-half, 0.24, half, 0.36, body * 0.5)


def paint_bonnet(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint the own car's bonnet along the lower border, which is void."""
    canvas.ellipse(np.array([canvas.width * rng.uniform(0.4, 0.6), canvas.height * 1.0]),
                   (canvas.width * rng.uniform(0.5, 0.75), canvas.height * rng.uniform(0.03, 0.08)), VOID, lacquer(rng))
