"""The report page and what stands on it."""

import base64
import weakref
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import ConfigDict

from bisenet_plugins.datasets.samples import Sample, read_samples
from bisenet_plugins.explain.page import write_page
from bisenet_plugins.metrics import confusion_matrix, score

SECTIONS = ['images', 'pathways', 'grad-cam', 'confusion', 'iou']


def read(folder, labels=None, pattern='*.png'):
    return list(read_samples(sorted((folder / 'images').glob(pattern)), labels))


class Page(HTMLParser):
    """What a page holds, section by section."""

    def __init__(self, path):
        super().__init__()
        self.sections, self.links, self.images, self.text, self.cells = [], [], {}, {}, {}
        self.feed(Path(path).read_text(encoding='utf-8'))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if tag == 'section':
            self.sections.append(found['id'])
        if tag == 'img':
            self.images.setdefault(self.sections[-1], []).append(found)
        if tag == 'td':
            self.cells[self.sections[-1]] = self.cells.get(self.sections[-1], 0) + 1
        self.links += [found[key] for key in ('src', 'href') if key in found]

    def handle_data(self, data):
        key = self.sections[-1] if self.sections else 'head'
        self.text[key] = self.text.get(key, '') + data


def test_the_page_has_every_section_and_its_images_in_it(predictor, folder, tmp_path):
    samples = read(folder, folder / 'labels')
    scores = write_page(predictor, samples, tmp_path / 'page.html', 'A <title>')
    page = Page(tmp_path / 'page.html')
    assert page.sections == SECTIONS
    assert all(link.startswith('data:image/jpeg;base64,') for link in page.links)
    first = base64.b64decode(page.images['images'][0]['src'].partition(',')[2])
    assert cv2.imdecode(np.frombuffer(first, np.uint8), cv2.IMREAD_COLOR).shape == (48, 64, 3)
    assert [len(page.images[key]) for key in ('images', 'pathways')] == [8, 8]
    assert 'errors (' in page.images['images'][3]['alt']
    stages = {image['alt'] for image in page.images['grad-cam']}
    assert {'backbone.detail_branch.stages', 'backbone.semantic_branch.context', 'decode_head.aggregation'} <= stages
    assert page.cells['confusion'] == 11 * 12
    assert f'{scores.miou:.2f}' in page.text['iou'] and f'Mean IoU {scores.miou:.2f} %' in page.text['head']
    assert 'A <title>' in page.text['head']


def test_a_whole_dataset_is_scored_and_little_of_it_held(predictor, folder, tmp_path):
    first, held, most = read(folder, folder / 'labels')[0], weakref.WeakValueDictionary(), 0

    class Watched(np.ndarray):
        """An image that can be seen to be gone."""

    def many():
        nonlocal most
        for number in range(80):
            held[number] = image = first.image.copy().view(Watched)
            yield Sample(image, first.label, f'{number:02d}.png')
            del image
            most = max(most, len(held))

    scores = write_page(predictor, many(), tmp_path / 'page.html', show=2)
    assert 20 < most < 40
    page = Page(tmp_path / 'page.html')
    assert '80 images' in page.text['head'] and scores.miou == write_page(predictor, [first], tmp_path / 'a.html').miou
    shown = [image['alt'] for image in page.images['images'][::4]]
    assert shown[0] == '00.png' and '70.png' < shown[1], shown


def test_without_labels_the_page_says_so_and_chosen_things_are_shown(predictor, folder, tmp_path):
    samples = read(folder)
    seen = predictor.classes[int(predictor(samples[0].image)[0, 0])]
    stages = ['backbone.semantic_branch.stem']
    assert write_page(predictor, samples, tmp_path / 'a.html', stages=stages, classes=[seen], show=1) is None
    page = Page(tmp_path / 'a.html')
    assert page.sections == SECTIONS
    assert len(page.images['images']) == 2 and [image['alt'] for image in page.images['grad-cam']] == stages
    assert 'no labels' in page.text['confusion'] and 'no labels' in page.text['iou']


def test_what_is_scored_is_what_is_predicted(predictor, folder, tmp_path, monkeypatch):
    samples = read(folder, folder / 'labels')
    monkeypatch.setattr(predictor.model, 'test_cfg', ConfigDict(mode='slide', crop_size=(32, 32), stride=(16, 16)))
    monkeypatch.setattr(predictor, '_compute', None)
    monkeypatch.setattr(predictor, 'backend', 'torch')
    masks = predictor([sample.image for sample in samples])
    matrix = sum(confusion_matrix(mask, sample.label, 11) for mask, sample in zip(masks, samples))
    assert abs(write_page(predictor, samples, tmp_path / 'a.html').miou - score(matrix).miou) < 0.1


def test_labels_are_ignored_where_the_head_ignores_them(predictor, folder, tmp_path, monkeypatch):
    wanted = write_page(predictor, read(folder, folder / 'labels'), tmp_path / 'a.html').miou
    monkeypatch.setattr(predictor.model.decode_head, 'ignore_index', 250)
    samples = read(folder, folder / 'labels')
    for sample in samples:
        sample.label[sample.label == 255] = 250
    assert write_page(predictor, samples, tmp_path / 'a.html').miou == wanted


def test_wrong_arguments_are_sentences(predictor, folder, tmp_path, monkeypatch):
    samples = read(folder)
    with pytest.raises(ValueError, match="classes: expected some of Sky, .*, got .'Cart'"):
        write_page(predictor, samples, tmp_path / 'a.html', classes=['Cart'])
    with monkeypatch.context() as patch, pytest.raises(ValueError, match='expected a network as config and weights'):
        patch.setattr(type(predictor), 'network', None)
        write_page(predictor, samples, tmp_path / 'a.html')
    with pytest.raises(ValueError, match='show: expected at least 1, got 0'):
        write_page(predictor, samples, tmp_path / 'a.html', show=0)
    asked = iter(samples * 2)
    with pytest.raises(ValueError, match="stages: expected modules .*backbone.*, got 'neck'"):
        write_page(predictor, asked, tmp_path / 'a.html', stages=['neck'], failed=[])
    assert len(list(asked)) == 2 * len(samples) - 1  # at the first image
    with pytest.raises(ValueError, match='samples: expected at least one image'):
        write_page(predictor, [], tmp_path / 'a.html')


def test_page_is_self_contained_and_escaped(predictor, folder, tmp_path):
    samples = read(folder)
    samples[0].name = '<b>&"x".png'
    write_page(predictor, samples, tmp_path / 'a.html', '<script>alert(1)</script>', show=1)
    text = (tmp_path / 'a.html').read_text()
    assert '<script' not in text and '<b>' not in text and '&lt;b&gt;&amp;&#34;x&#34;.png' in text
    assert 'http' not in text and '<link' not in text and 'url(' not in text


def test_network_without_two_pathways_is_told_so(predictor, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(predictor.model.decode_head, 'aggregation', None)
    head = type(predictor.model.decode_head)
    monkeypatch.setattr(head, 'forward', lambda self, maps: self.conv_seg(maps[0][:, :self.conv_seg.in_channels]))
    write_page(predictor, read(folder, pattern='0.png'), tmp_path / 'a.html')
    assert 'Not shown: expected a decode head with an aggregation' in Page(tmp_path / 'a.html').text['pathways']
