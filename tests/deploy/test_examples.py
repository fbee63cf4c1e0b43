"""The examples need an exported graph and a runtime, nothing of this package; each gives the graph's own mask."""

import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from bisenet_plugins.cli.main import run_command
from bisenet_plugins.datasets.samples import synthetic_samples
from bisenet_plugins.deploy.triton import write_repository
from tests.deploy.conftest import make, needs, tiny_config

pytestmark = needs('mmdeploy', 'onnx', 'onnxruntime')
EXAMPLES = Path(__file__).resolve().parents[2] / 'examples'


@pytest.fixture(scope='module')
def exported(tiny, tmp_path_factory):
    """A self-contained artifact with colours, an image as a file, and the graph's mask of it."""
    folder = tmp_path_factory.mktemp('example')
    artifact = make(tiny, folder / 'artifact', channel_order='rgb')
    image = synthetic_samples(1, (70, 100))[0].image
    cv2.imwrite(str(folder / 'image.png'), image)
    return artifact, folder / 'image.png', artifact.open(threads=1)(np.ascontiguousarray(image[None, ..., ::-1]))[0]


def run(command, **environment):
    own = {key: value for key, value in os.environ.items() if key != 'PYTHONPATH'}
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=300,
                          env={**own, **environment})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_examples_are_short():
    for path in EXAMPLES.glob('segment.*'):
        assert len(path.read_text().splitlines()) <= 30, path.name
        assert 'bisenet_plugins' not in path.read_text()


def test_python(exported, tmp_path):
    artifact, photo, mask = exported
    told = run([sys.executable, EXAMPLES / 'segment.py', artifact.path, photo, tmp_path / 'mask.png'])
    from PIL import Image
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / 'mask.png')), mask)
    assert f'{artifact.classes[0]}: {100 * (mask == 0).mean():.1f} %' in told


def test_javascript(exported, tmp_path):
    modules = os.environ.get('NODE_PATH') or str(EXAMPLES / 'node_modules')
    if shutil.which('node') is None or not Path(modules, 'onnxruntime-web').is_dir():
        pytest.skip('node, or onnxruntime-web and pngjs (npm install in examples/), is not installed')
    artifact, photo, mask = exported
    told = run(['node', EXAMPLES / 'segment.js', artifact.path, photo, tmp_path / 'mask.png'], NODE_PATH=modules)
    found = cv2.imread(str(tmp_path / 'mask.png'), cv2.IMREAD_UNCHANGED)
    assert np.mean(found == mask) >= 0.999
    assert sum(json.loads(told).values()) == mask.size


def test_cpp(exported, tmp_path):
    """Compiled against the headers on the compiler's paths, run with the library of the Python package."""
    import onnxruntime
    libraries = list(Path(onnxruntime.__file__).parent.glob('capi/libonnxruntime.so.*'))
    build = ['g++', '-std=c++17', '-I/usr/include/onnxruntime', EXAMPLES / 'segment.cpp']
    if shutil.which('g++') is None or not libraries or subprocess.run([*build, '-M'], capture_output=True).returncode:
        pytest.skip('g++, or the headers of ONNX Runtime and stb (Debian: libonnxruntime-dev, libstb-dev; elsewhere in '
                    'CPLUS_INCLUDE_PATH), or the library in the Python package, is not installed')
    for name in ('libonnxruntime.so', 'libonnxruntime.so.1'):
        (tmp_path / name).symlink_to(libraries[0])
    run([*build, '-o', tmp_path / 'segment', f'-L{tmp_path}', '-lonnxruntime'])
    artifact, photo, mask = exported
    told = run([tmp_path / 'segment', artifact.path, photo, tmp_path / 'mask.png'], LD_LIBRARY_PATH=str(tmp_path))
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / 'mask.png'), cv2.IMREAD_UNCHANGED), mask)
    assert told == f'classes: {json.dumps(artifact.classes)}\n'


class Server(http.server.BaseHTTPRequestHandler):
    """A model repository behind the KServe V2 protocol with its binary extension, on ONNX Runtime."""

    repository = Path()

    def do_POST(self):
        import onnxruntime
        name = re.fullmatch(r'/v2/models/([\w.-]+)/infer', self.path)[1]
        size = int(self.headers['Inference-Header-Content-Length'])
        body = self.rfile.read(int(self.headers['Content-Length']))
        entry, = json.loads(body[:size])['inputs']
        config = (self.repository / name / 'config.pbtxt').read_text()
        assert f'name: "{entry["name"]}", data_type: TYPE_{entry["datatype"]}' in config
        session = onnxruntime.InferenceSession(str(self.repository / name / '1' / 'model.onnx'))
        image = np.frombuffer(body[size:], np.uint8).reshape(entry['shape'])
        mask, = session.run(['output'], {entry['name']: image})
        output = dict(name='output', shape=mask.shape, datatype='UINT8',
                      parameters=dict(binary_data_size=mask.nbytes))
        head = json.dumps(dict(model_name=name, outputs=[output])).encode()
        self.send_response(200)
        self.send_header('Inference-Header-Content-Length', str(len(head)))
        self.send_header('Content-Length', str(len(head) + mask.nbytes))
        self.end_headers()
        self.wfile.write(head + mask.tobytes())

    def log_message(self, *arguments):
        """Keep quiet."""


def test_kserve_client_gets_the_graph_s_mask(exported, tmp_path, monkeypatch):
    artifact, photo, mask = exported
    monkeypatch.setattr(Server, 'repository', tmp_path)
    name = Path(write_repository(artifact, str(tmp_path))).name
    server = http.server.HTTPServer(('127.0.0.1', 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f'http://127.0.0.1:{server.server_port}'
        told = run([sys.executable, EXAMPLES / 'kserve_client.py', url, name, photo, tmp_path / 'mask.png'])
    finally:
        server.shutdown()
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / 'mask.png'), cv2.IMREAD_UNCHANGED), mask)
    assert told.startswith('output: (1, 70, 100)')


def test_the_command_writes_artifact_and_repository(tiny, tmp_path, capsys):
    tiny_config().dump(str(tmp_path / 'tiny.py'))
    options = ['--self-contained', 'rgb', '--shape', '64x96', '--image-count', '1', '--no-dump-info', '--triton',
               str(tmp_path / 'repository'), '--out', str(tmp_path / 'out')]
    assert run_command(argv=['export', str(tmp_path / 'tiny.py'), tiny[2], *options]) == 0
    config = (tmp_path / 'repository' / 'out' / 'config.pbtxt').read_text()
    assert 'max_batch_size: 0' in config and 'dims: [1, 64, 96, 3]' in config and 'dims: [1, 64, 96]' in config
    labels = (tmp_path / 'repository' / 'out' / 'labels.txt').read_text().splitlines()
    assert labels == [f'class {number}' for number in range(5)]
    assert 'not run on a Triton server' in capsys.readouterr().err
