"""A predictor that is handed to a forked process as a pickle works there."""

import json
import os
import subprocess
import sys

import pytest

FORKED = '''
import multiprocessing, sys
import numpy as np
from bisenet_plugins import Predictor
from mmengine.config import Config
predictor = Predictor(Config.fromfile(sys.argv[1]), backend=sys.argv[2])
images = np.random.default_rng(0).integers(0, 256, (2, 256, 256, 3), np.uint8)
wanted = predictor([*images])
with multiprocessing.get_context('fork').Pool(2) as pool:
    print([float(np.mean(a == b)) for a, b in zip(pool.map_async(predictor, images).get(60), wanted)])
'''


@pytest.mark.slow
@pytest.mark.parametrize('backend', ['torch', 'auto'])
def test_a_pickled_one_does_not_wait_for_ever_in_a_fork(small_config, tmp_path, backend):
    small_config.dump(tmp_path / 'config.py')
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', FORKED, tmp_path / 'config.py', backend], timeout=90,
                          capture_output=True, text=True, check=True, env={**os.environ, 'OMP_NUM_THREADS': '2'})
    assert min(json.loads(done.stdout.splitlines()[-1])) > 0.999
