"""The mask benchmark checks what it times."""

import json

from benchmarks.harness import load_image
from benchmarks.mask import image_logits, main, time_masks


def test_fast_mask_is_checked_against_one_resize():
    report = time_masks(image_logits(load_image(None, (64, 128)), 19, (8, 16)), (64, 128), (128, 256), 2)
    assert report.checks['of_these_no_ties'] == 0
    assert report.checks['agreement_with_two_resizes'] > 0.98
    assert report.checks['classes_in_the_mask'] > 2 and len(report.ratios) == 3


def test_runs_from_the_command_line(tmp_path, capsys):
    main(['--rounds', '1', '--image-size', '64', '128', '--classes', '5', '--out', str(tmp_path / 'mask.json')])
    settings = json.loads((tmp_path / 'mask.json').read_text())['settings']
    assert settings['logits'] == [1, 5, 4, 8] and settings['network_size'] == [32, 64]
    assert 'upsample_argmax, uint8' in capsys.readouterr().out
