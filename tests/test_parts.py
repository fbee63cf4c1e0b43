"""What importing the package brings: every part where MMSegmentation is installed, prediction alone where it is not."""

import os
import subprocess
import sys
from pathlib import Path

import bisenet_plugins
from bisenet_plugins import parts

ROOT = Path(__file__).resolve().parents[1]
WITHOUT = """
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *args: None if name == 'mmseg' else find(name, *args)
import bisenet_plugins
print(sorted(set(bisenet_plugins.__all__)), 'torch' in sys.modules)
"""


def test_every_part_is_an_attribute_of_the_package():
    assert set(parts.__all__) < set(bisenet_plugins.__all__)
    for name in parts.__all__:
        assert getattr(bisenet_plugins, name) is getattr(parts, name)


def test_without_mmsegmentation_there_is_prediction():
    done = subprocess.run([sys.executable, '-c', WITHOUT], env={**os.environ, 'PYTHONPATH': str(ROOT)},
                          capture_output=True, text=True, check=False)
    names = ['Predictor', '__version__', 'load_pretrained', 'pretrained_names', 'upsample_argmax']
    assert done.stdout.splitlines() == [f'{names} False'], done.stderr
