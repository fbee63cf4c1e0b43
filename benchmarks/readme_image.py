"""Draw the image of README.md: ``python -m benchmarks.readme_image``."""

from __future__ import annotations

import argparse
from pathlib import Path

from bisenet_plugins import load_pretrained
from bisenet_plugins.cli.demo import DRAWN
from bisenet_plugins.datasets.scenes.painter import paint_scene
from bisenet_plugins.visualize import apart, image_grid, legend, overlay, write_image

SCENES = (3, 30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--pretrained', default=DRAWN, help='network that segments')
    parser.add_argument('--scenes', type=int, nargs='+', default=SCENES, help='seeds of the scenes')
    parser.add_argument('--out', default=Path(__file__).resolve().parents[1] / 'docs' / 'images' / 'readme.jpg')
    args = parser.parse_args()
    predictor = load_pretrained(args.pretrained, backend='torch')
    colours = apart(predictor.palette, len(predictor.classes))
    rows = []
    for seed in args.scenes:
        scene, truth = paint_scene((360, 480), seed=seed, index=0)
        found = predictor.segment(scene)
        rows.append([scene, overlay(scene, truth, colours, 0.65), found.overlay(legend=False, opacity=0.65)])
        print(f'scene {seed}: {100 * (found.mask == truth).mean():.1f} % of the pixels as drawn')
    grid = image_grid(rows, ['drawn scene', 'truth', f'prediction of {args.pretrained}'], cell_width=480, gap=6)
    write_image(args.out, legend(grid, list(zip(predictor.classes, colours))))


if __name__ == '__main__':
    main()
