"""Scripts of mmdeploy run with our parts, in every process that they start."""

import subprocess
import sys

import pytest

from tests.deploy.conftest import ROOT, needs

pytestmark = needs('mmdeploy')
SPAWNING = """
import sys
import torch.multiprocessing as mp


def tell(words):
    from mmdeploy.backend.base import get_backend_manager
    print(words, get_backend_manager('tensorrt').backend, flush=True)


if __name__ == '__main__':
    mp.set_start_method('spawn')
    child = mp.Process(target=tell, args=(sys.argv[1:],))
    child.start()
    child.join()
"""


@pytest.mark.slow
def test_a_script_that_spawns_has_our_parts_in_every_process(tmp_path):
    (tmp_path / 'script.py').write_text(SPAWNING)
    done = subprocess.run([sys.executable, '-W', 'ignore', '-m', 'bisenet_plugins.deploy.mmdeploy.run',
                           str(tmp_path / 'script.py'), 'a', 'b'], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "['a', 'b'] tensorrt", done.stderr
