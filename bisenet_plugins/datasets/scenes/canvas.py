"""The camera and the canvas that synthetic street scenes are painted with.

World axes in metres: ``x`` to the right of the camera, ``y`` up from the ground, ``z`` ahead of the camera.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, PEDESTRIAN, BICYCLIST = range(11)
VOID = 255


@dataclass(frozen=True)
class Camera:
    """A pinhole camera that looks along the street.

    Args:
        focal: Focal length in pixels.
        centre: Column of the vanishing point in pixels.
        horizon: Row of the horizon in pixels.
        height: Height of the camera over the ground in metres.
    """

    focal: float
    centre: float
    horizon: float
    height: float

    def project(self, points: np.ndarray) -> np.ndarray:
        """Project world points to pixels.

        Shape:
            - Input: ``(..., 3)`` float ``x, y, z`` in metres.
            - Output: ``(..., 2)`` float column and row in pixels.
        """
        scale = self.focal / np.maximum(points[..., 2], 0.3)
        return np.stack((self.centre + points[..., 0] * scale,
                         self.horizon + (self.height - points[..., 1]) * scale), axis=-1)

    def depth_at(self, row: float) -> float:
        """Return the depth in metres at which the ground meets a row below the horizon."""
        return self.focal * self.height / max(row - self.horizon, 1e-3)


class Canvas:
    """An image and its label, painted together.

    Args:
        size: Height and width in pixels.
        camera: Projects the world onto the canvas.
        haze: BGR colour that far things fade to.
        haze_depth: Depth in metres at which two thirds of a colour have faded.
    """

    def __init__(self, size: tuple[int, int], camera: Camera, haze: np.ndarray, haze_depth: float) -> None:
        """Start with an empty image, all void."""
        self.height, self.width = size
        self.image: np.ndarray = np.zeros((*size, 3), np.uint8)
        self.label: np.ndarray = np.full(size, VOID, np.uint8)
        self.camera, self.haze, self.haze_depth = camera, haze, haze_depth

    def fade(self, colour: np.ndarray, depth: float) -> tuple[float, ...]:
        """Mix a BGR colour with the haze of its depth."""
        clear = math.exp(-depth / self.haze_depth)
        return tuple((colour * clear + self.haze * (1 - clear)).clip(0, 255).tolist())

    def polygon(self, pixels: np.ndarray, class_id: int | None, colour: np.ndarray | None, depth: float = 0.0) -> None:
        """Fill a polygon ``(P, 2)`` or several apart, ``(M, P, 2)``; ``None`` leaves image or label as it is."""
        corners = np.rint(pixels).astype(np.int32)
        shapes = [corners] if corners.ndim == 2 else list(corners)
        if colour is not None:
            cv2.fillPoly(self.image, shapes, self.fade(colour, depth))
        if class_id is not None:
            cv2.fillPoly(self.label, shapes, class_id)

    def world_polygon(self, points: np.ndarray | Sequence, class_id: int | None, colour: np.ndarray | None,
                      depth: float | None = None) -> None:
        """Project a polygon of world points ``(P, 3)``, or several ``(M, P, 3)`` that do not overlap, and fill it."""
        points = np.asarray(points, dtype=np.float64)
        if depth is None:
            depth = float(points.flat[2] + points.flat[-1]) / 2
        self.polygon(self.camera.project(points), class_id, colour, depth)

    def sees(self, x: float, z: float, reach: float) -> bool:
        """Return whether a thing at ``(x, z)`` that reaches so many metres to its sides can be in the image."""
        return abs(x * self.camera.focal / z + self.camera.centre - self.width / 2) < (
            self.width / 2 + reach * self.camera.focal / z)

    def ellipse(self, centre: np.ndarray, axes: tuple[float, float], class_id: int, colour: np.ndarray,
                depth: float = 0.0, thickness: int = -1) -> None:
        """Draw an ellipse; its label is always filled."""
        middle = (round(float(centre[0])), round(float(centre[1])))
        radii = (max(int(round(axes[0])), 1), max(int(round(axes[1])), 1))
        cv2.ellipse(self.image, middle, radii, 0, 0, 360, self.fade(colour, depth), thickness)
        cv2.ellipse(self.label, middle, radii, 0, 0, 360, class_id, -1)

    def darken(self, pixels: np.ndarray, strength: float) -> None:
        """Multiply the image inside a polygon by ``1 - strength``; the label stays."""
        corners = np.rint(pixels).astype(np.int32)
        low = np.clip(corners.min(0), 0, (self.width, self.height))
        high = np.clip(corners.max(0) + 1, 0, (self.width, self.height))
        if (high <= low).any():
            return
        part = self.image[low[1]:high[1], low[0]:high[0]]
        mask = np.zeros(part.shape[:2], np.uint8)
        cv2.fillPoly(mask, [corners - low.astype(np.int32)], 1)
        cv2.copyTo(cv2.convertScaleAbs(part, alpha=1 - strength), mask, part)

    def ground_shadow(self, x: float, z: float, half_width: float, half_length: float) -> None:
        """Darken an ellipse on the ground around ``(x, z)``, all in metres."""
        turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)
        ring = np.stack((x + half_width * np.cos(turn), np.zeros(12), z + half_length * np.sin(turn)), 1)
        self.darken(self.camera.project(ring), 0.42)


def noise(rng: np.random.Generator, size: tuple[int, int], cell: float) -> np.ndarray:
    """Draw smooth noise of about unit variance whose blobs are ``cell`` pixels wide, ``(H, W)`` float32."""
    if cell <= 1:
        return rng.standard_normal(size, dtype=np.float32)
    small = rng.standard_normal((int(size[0] / cell) + 2, int(size[1] / cell) + 2), dtype=np.float32)
    return cv2.resize(small, (size[1], size[0]), interpolation=cv2.INTER_LINEAR) * 1.4


def upright(x: float, low: float, high: float, z0: float | np.ndarray, z1: float | np.ndarray) -> np.ndarray:
    """Return the corners of one rectangle in the plane at lateral ``x``, or of one for each pair of depths.

    Shape:
        - Input: ``()`` or ``(M,)``, both depths.
        - Output: ``(4, 3)`` or ``(M, 4, 3)``.
    """
    depths = np.stack((z0, z0, z1, z1), axis=-1)
    heights = np.broadcast_to((low, high, high, low), depths.shape)
    return np.stack((np.full_like(depths, x), heights, depths), axis=-1)


def grey(rng: np.random.Generator, low: float, high: float, tint: float = 8.0) -> np.ndarray:
    """Draw a BGR grey between two levels with a small random tint."""
    return np.clip(rng.uniform(low, high) + rng.normal(0, tint, 3), 0, 255)
