"""What every test shares: few threads, mmseg's registries filled, and where CamVid lies."""

import os
from pathlib import Path

import pytest
import torch
from mmseg.utils import register_all_modules

import bisenet_plugins  # noqa: F401

ROOT = Path(__file__).resolve().parents[1]
# Tests that run side by side share the cores.
torch.set_num_threads(1 if 'PYTEST_XDIST_WORKER' in os.environ else min(2, os.cpu_count() or 1))
register_all_modules(init_default_scope=True)


@pytest.fixture(autouse=True)
def fixed_seed():
    """The same random numbers in every test, whatever ran before."""
    torch.manual_seed(0)


@pytest.fixture(scope='session')
def camvid_root() -> Path:
    """Folder of CamVid in the SegNet layout, from ``CAMVID_ROOT``, ``data/camvid`` or ``../shared/data/camvid``."""
    places = [ROOT / 'data' / 'camvid', ROOT.parent / 'shared' / 'data' / 'camvid']
    if os.environ.get('CAMVID_ROOT'):
        places.insert(0, Path(os.environ['CAMVID_ROOT']))
    for place in places:
        if (place / 'trainannot').is_dir():
            return place
    pytest.skip('CamVid is not there: put it in data/camvid or name its folder in CAMVID_ROOT')
