"""Networks in terms of matrix products, and where their time goes."""

import json

import pytest

from benchmarks.candidates import open_candidate
from benchmarks.harness import load_image
from benchmarks.matmul import graph_table, layer_table, main, time_products
from bisenet_plugins.runtime import Predictor


def test_networks_are_related_to_matrix_products(config):
    spec = dict(name='ours', kind='torch', path=config)
    report = time_products(2, 64, [spec], load_image(None, (128, 256)))
    assert [row['name'] for row in report.rows] == ['matrix product, 64', 'ours', 'matrix product, 64, NumPy']
    assert report.rows[0]['share'] == 1.0 and report.rows[1]['gmacs'] > 0
    for row in report.rows:
        assert row['gflops'] == pytest.approx(2000 * row['gmacs'] / row['ms']['median'], abs=0.06)
    with pytest.raises(ValueError, match='expected an image for the networks, got none'):
        time_products(1, 8, [spec])


@pytest.mark.parametrize('kind', ['mmseg', 'torch'])
def test_layers_account_for_all_products_and_all_time(config, kind):
    candidate = open_candidate('x', kind, config)
    table = layer_table(candidate, load_image(None, (48, 96)), 2)
    assert [row['ms'] for row in table] == sorted((row['ms'] for row in table), reverse=True)
    assert {'3 x 3', '3 x 3, stride 2', '1 x 1', 'all else'} <= {row['kind'] for row in table}
    assert sum(row.get('gmacs', 0) for row in table) == pytest.approx(candidate.gmacs, abs=0.005)
    assert sum(row['percent'] for row in table) == pytest.approx(100, abs=1)
    candidate.model = None
    assert layer_table(candidate, load_image(None, (48, 96))) == []


def test_a_graph_accounts_for_all_products(config, write_graph, tmp_path):
    pytest.importorskip('openvino')
    predictor = Predictor(config, backend='torch')
    write_graph(predictor, tmp_path / 'net.onnx')
    inputs = predictor.preprocess(load_image(None, (48, 96))).inputs
    table = graph_table(str(tmp_path / 'net.onnx'), inputs, 1, 2)
    assert [row['ms'] for row in table] == sorted((row['ms'] for row in table), reverse=True)
    assert {'3 x 3', '3 x 3, stride 2', '1 x 1'} <= {row['kind'] for row in table}
    assert sum(row['percent'] for row in table) == pytest.approx(100, abs=1)
    gmacs = open_candidate('x', 'torch', config).gmacs
    assert sum(row.get('gmacs', 0) for row in table) == pytest.approx(gmacs, abs=0.005)


def test_runs_from_the_command_line(config, tmp_path, capsys):
    main([f'ours={config}', '--side', '32', '--size', '32', '64', '--rounds', '1', '--out',
          str(tmp_path / 'matmul.json')])
    report = json.loads((tmp_path / 'matmul.json').read_text())
    assert report['checks']['where the time goes: ours'] and '| kind | ' in capsys.readouterr().out
    with pytest.raises(SystemExit, match='error: expected a config'):
        main(['none'])
