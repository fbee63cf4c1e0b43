"""The tutorial runs from its first cell to its last; both networks learn."""

import re
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / 'docs' / 'tutorial.ipynb'


@pytest.mark.slow
def test_the_tutorial_runs(monkeypatch):
    nbformat, client = pytest.importorskip('nbformat'), pytest.importorskip('nbclient')
    pytest.importorskip('ipykernel')
    monkeypatch.setenv('TUTORIAL_SECONDS', '2')
    monkeypatch.setenv('PYTHONPATH', str(NOTEBOOK.parents[1]))
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get('outputs') for cell in notebook.cells)
    client.NotebookClient(notebook, timeout=300, kernel_name='python3',
                          resources=dict(metadata=dict(path=str(NOTEBOOK.parent)))).execute()
    told = '\n'.join(output.get('text', '') for cell in notebook.cells for output in cell.get('outputs', []))
    assert 'expected' in told  # the branch that does not fit is refused
    for first, last in re.findall(r'loss ([\d.]+) to ([\d.]+)', told):
        assert float(last) < float(first)
    shares = [float(share) for share in re.findall(r'([\d.]+) % of the pixels', told)]
    assert len(shares) == 2 and min(shares) > 20
