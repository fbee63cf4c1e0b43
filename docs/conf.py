"""The documentation site: the repository's own Markdown pages, and the API from the docstrings; see ``make docs``.

The source folder is the repository's root, so that a link between two files works on the site as it does in a clone.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from sphinx.util import logging  # noqa: E402

from bisenet_plugins.version import __version__  # noqa: E402

log = logging.getLogger(__name__)

project = 'bisenet_plugins'
author = 'the authors of bisenet_plugins'
copyright = f'2026, {author}; Apache-2.0'  # noqa: A001
version = release = __version__
html_title = f'{project} {version}'

root_doc = 'docs/index'
include_patterns = ['docs/**', 'configs/README.md', 'configs/*/README.md', 'configs/bisenetv2/ablations.md',
                    'benchmarks/README.md', 'benchmarks/results/*.md', 'bisenet_plugins/weights/shipped/*.md',
                    'CHANGELOG.md', 'CONTRIBUTING.md']
exclude_patterns = ['.*', 'build', 'data', 'work_dirs', 'tests', 'bisenet_plugins/.mim', 'bisenet_plugins/configs',
                    '**/node_modules']
extensions = ['myst_nb', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon']

myst_heading_anchors = 3
nb_execution_mode = 'off'  # a test executes the notebook

autodoc_member_order = 'bysource'
autodoc_typehints_format = 'short'
autodoc_default_options = {'members': True, 'show-inheritance': True}
napoleon_numpy_docstring = False
napoleon_custom_sections = ['Shape', 'Source']

html_theme = 'furo'
html_favicon = 'site/favicon.svg'
html_static_path = ['site/static']
html_extra_path = ['site/root']
html_copy_source = False
html_show_sourcelink = False


def add_browser_page(app: Any) -> None:
    """Put what the page ``browser.md`` loads beside its scripts: the runtime, a network that ships, drawn scenes."""
    import cv2

    from bisenet_plugins import StreetSceneDataset
    from bisenet_plugins.cli.demo import DRAWN as name  # whose INT8 is the smallest, and good at the page's samples
    from bisenet_plugins.runtime.artifact import META_KEY
    from bisenet_plugins.runtime.onnx_metadata import read_metadata
    from bisenet_plugins.weights import store

    folder = Path(app.outdir) / '_static' / 'browser'
    scenes = StreetSceneDataset(length=3, seed=5, size=(360, 480), pipeline=[])
    for index in range(3):
        cv2.imwrite(str(folder / f'scene{index}.png'), scenes[index]['img'])
    runtime = ROOT / 'docs' / 'site' / 'node_modules' / 'onnxruntime-web' / 'dist'
    graphs = {path.name: path for path in store.FOLDER.rglob('*.onnx')}
    if f'{name}.int8.onnx' not in graphs or not runtime.is_dir():
        log.info('the page browser.md runs nothing: %s', 'no graph ships' if runtime.is_dir() else 'npm ci was not run')
        return
    (folder / 'ort').mkdir(parents=True, exist_ok=True)
    for file in ('ort.wasm.min.mjs', 'ort-wasm-simd-threaded.mjs', 'ort-wasm-simd-threaded.wasm',
                 'ort.webgpu.min.mjs', 'ort-wasm-simd-threaded.asyncify.mjs', 'ort-wasm-simd-threaded.asyncify.wasm'):
        shutil.copy(runtime / file, folder / 'ort')
    files = dict(int8=graphs[f'{name}.int8.onnx'], fp32=graphs[f'{name}.onnx'])
    for path in files.values():
        shutil.copy(path, folder)
    artifact = json.loads(read_metadata(files['int8'])[META_KEY])
    told = {key: artifact[key] for key in ('classes', 'palette', 'preprocess', 'align_corners')}
    told.update(name=name, graphs={precision: path.name for precision, path in files.items()})
    (folder / 'network.json').write_text(json.dumps(told), encoding='utf-8')


def setup(app: Any) -> None:
    """Register with Sphinx."""
    app.connect('build-finished', lambda app, error: None if error else add_browser_page(app))
