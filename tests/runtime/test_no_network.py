"""Nothing leaves the machine: whatever predicts, no socket is connected and no name is looked up."""

import importlib.util
import subprocess
import sys

WATCH = '''
import socket, subprocess, sys
calls = []
def refuse(what):
    def watched(*args, **kwargs):
        calls.append((what, str(args[1:2])))
        raise OSError(f'{what} is not allowed here')
    return watched
socket.socket.connect = refuse('connect')
socket.getaddrinfo = refuse('getaddrinfo')
from bisenet_plugins.runtime.backends import import_runtime
for backend in sys.argv[2:]:  # an export asks for the version first
    import_runtime(backend)
print('telemetry:', sys.modules.get('openvino_telemetry'))
import numpy as np
from bisenet_plugins import load_pretrained
for backend in sys.argv[1:]:
    load_pretrained('bisenetv2-mobilenetv2-camvid', backend=backend)(np.zeros((64, 96, 3), np.uint8))
print('calls:', calls, sys.modules.get('openvino_telemetry'))
'''


def test_no_backend_talks_to_anyone():
    backends = [name for name in ('torch', 'openvino', 'onnxruntime') if importlib.util.find_spec(name) is not None]
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', WATCH, *backends], capture_output=True, text=True,
                          timeout=300)
    assert done.stdout.strip().splitlines()[-1] == 'calls: [] None', done.stderr[-2000:]
    assert 'telemetry: None' in done.stdout.splitlines()
