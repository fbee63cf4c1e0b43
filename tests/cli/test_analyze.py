"""The page that shows what a network learnt, and the figures on it."""

import base64
import runpy
import sys
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.registry import DATASETS

from bisenet_plugins.explain import gradcam as explain
from bisenet_plugins.explain.page import find_pairs, write_page
from bisenet_plugins.metrics import labelled_pictures
from bisenet_plugins.runtime import Predictor

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'analysis_tools' / 'analyze.py'
SCENES = dict(type='StreetSceneDataset', length=2, size=(48, 64))
SECTIONS = ['pictures', 'pathways', 'grad-cam', 'confusion', 'iou']


@pytest.fixture(scope='module', autouse=True)
def one_thread():
    """The networks are so small that a second thread only waits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope='module')
def predictor():
    """V2 of an eighth of the width that knows a few classes apart."""
    torch.manual_seed(0)
    predictor = Predictor(Config(dict(
        default_scope='mmseg',
        model=dict(
            type='BilateralSegmentor', num_classes=11, norm_cfg=dict(type='BN'),
            data_preprocessor=dict(type='SegDataPreProcessor', mean=[120.0] * 3, std=[60.0] * 3, bgr_to_rgb=True),
            backbone=dict(type='BilateralNetwork', detail_branch=dict(type='DetailBranch', width_mult=0.125),
                          semantic_branch=dict(type='SemanticBranch', width_mult=0.25)),
            decode_head=dict(type='BGAHead', channels=16)),
        test_dataloader=dict(dataset=SCENES))))
    torch.nn.init.normal_(predictor.model.decode_head.conv_seg.weight, std=5.0)
    return predictor


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Two drawn scenes with their labels as files, one pixel of them not labelled."""
    base = tmp_path_factory.mktemp('scenes')
    for number, item in enumerate(DATASETS.build(SCENES)):
        label = item['gt_seg_map'] if 'gt_seg_map' in item else next(labelled_pictures(SCENES))[1]
        label[0, 0] = 11
        for kind, picture in (('images', item['img']), ('labels', label.astype(np.uint8))):
            (base / kind).mkdir(exist_ok=True)
            cv2.imwrite(str(base / kind / f'{number}.png'), picture)
    return base


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


def test_the_page_has_every_section_and_its_pictures_in_it(predictor, folder, tmp_path):
    pairs = find_pairs([str(folder / 'images')], folder / 'labels')
    scores = write_page(predictor, pairs, tmp_path / 'page.html', 'A <title>')
    page = Page(tmp_path / 'page.html')
    assert page.sections == SECTIONS
    assert all(link.startswith('data:image/jpeg;base64,') for link in page.links)
    first = base64.b64decode(page.images['pictures'][0]['src'].partition(',')[2])
    assert cv2.imdecode(np.frombuffer(first, np.uint8), cv2.IMREAD_COLOR).shape == (48, 64, 3)
    assert [len(page.images[key]) for key in ('pictures', 'pathways')] == [8, 8]
    assert 'errors (' in page.images['pictures'][3]['alt']
    stages = {image['alt'] for image in page.images['grad-cam']}
    assert {'backbone.detail_branch.stages', 'backbone.semantic_branch.context', 'decode_head.aggregation'} <= stages
    assert page.cells['confusion'] == 11 * 12
    assert f'{scores.miou:.2f}' in page.text['iou'] and f'Mean IoU {scores.miou:.2f} %' in page.text['head']
    assert 'A <title>' in page.text['head']


def test_without_labels_the_page_says_so_and_chosen_things_are_shown(predictor, folder, tmp_path):
    pairs = find_pairs([str(folder / 'images')])
    seen = predictor.classes[int(predictor(pairs[0][1])[0, 0])]
    stages = ['backbone.semantic_branch.stem']
    assert write_page(predictor, pairs, tmp_path / 'a.html', stages=stages, classes=[seen], show=1) is None
    page = Page(tmp_path / 'a.html')
    assert page.sections == SECTIONS
    assert len(page.images['pictures']) == 2 and [image['alt'] for image in page.images['grad-cam']] == stages
    assert 'no labels' in page.text['confusion'] and 'no labels' in page.text['iou']


def test_wrong_wishes_are_sentences(predictor, folder, tmp_path):
    pairs = find_pairs([str(folder / 'images')])
    with pytest.raises(ValueError, match="there is no class 'Cart', the network knows Sky, "):
        write_page(predictor, pairs, tmp_path / 'a.html', classes=['Cart'])
    with pytest.raises(ValueError, match='show is 0, one or more'):
        write_page(predictor, pairs, tmp_path / 'a.html', show=0)
    with pytest.raises(ValueError, match="no stage 'neck' in the network; name one of its modules, such as backbone"):
        write_page(predictor, pairs, tmp_path / 'a.html', stages=['neck'])
    with pytest.raises(ValueError, match='none.png is no picture'):
        find_pairs(['none.png'])
    with pytest.raises(ValueError, match='0.png has no label map: .*none'):
        find_pairs([str(folder / 'images')], folder / 'none')
    (tmp_path / 'b.png').write_bytes(b'text')
    with pytest.raises(ValueError, match='b.png: is no picture that can be decoded'):
        find_pairs([str(tmp_path / 'b.png')])
    with pytest.raises(ValueError, match='there is no picture'):
        find_pairs([])
    cv2.imwrite(str(tmp_path / '0.png'), np.zeros((3, 3), np.uint8))
    with pytest.raises(ValueError, match=r'0.png is \(3, 3\), its picture \(48, 64\)'):
        find_pairs([str(folder / 'images' / '0.png')], tmp_path)


def test_labelled_pictures_come_untransformed(camvid_like):
    pairs = list(labelled_pictures(camvid_like))
    assert [(image.shape, label.shape) for image, label in pairs] == [((48, 64, 3), (48, 64))] * 2
    assert pairs[0][1][0, 0] == 255 and set(np.unique(pairs[0][1])) <= {*range(11), 255}


@pytest.fixture
def camvid_like(folder):
    """The scenes as a dataset on the disk whose own pipeline would change them."""
    return dict(type='CamVidDataset', data_root=str(folder), test_mode=True,
                data_prefix=dict(img_path='images', seg_map_path='labels'),
                pipeline=[dict(type='LoadImageFromFile'), dict(type='Resize', scale=(32, 24)),
                          dict(type='LoadAnnotations'), dict(type='PackSegInputs')])


def inputs_of(predictor, folder):
    return explain.network_input(predictor, find_pairs([str(folder / 'images')])[0][1])['inputs']


def test_grad_cam_is_what_its_definition_says(predictor, folder):
    """Against a stage changed by hand: the gradient by finite steps, one channel at a time."""
    model, inputs = predictor.model, inputs_of(predictor, folder)
    name = 'backbone.detail_branch.stages'
    stage = model.get_submodule(name)
    with torch.no_grad():
        kept = stage(inputs)
        logits = model(inputs, mode='tensor')
    class_id = int(logits[0].argmax(0).flatten().mode().values)
    where = logits.argmax(1) == class_id

    def score_with(value):
        hook = stage.register_forward_hook(lambda *_: value)
        with torch.no_grad():
            total = (model(inputs, mode='tensor')[:, class_id] * where).double().sum()
        hook.remove()
        return float(total)

    step = 1e-2
    slopes = []
    for channel in range(kept.shape[1]):
        shift = torch.zeros_like(kept)
        shift[:, channel] = step
        slopes.append((score_with(kept + shift) - score_with(kept - shift)) / (2 * step) / kept[0, 0].numel())
    cam = (kept[0] * torch.tensor(slopes, dtype=kept.dtype)[:, None, None]).sum(0).relu().numpy()
    cam = cv2.resize((cam - cam.min()) / (cam - cam.min()).max(), (64, 48))
    found = explain.grad_cam(model, inputs, [name], class_id, package=False)[name]
    assert found.shape == (48, 64) and found.min() == 0.0 and found.max() == pytest.approx(1.0, abs=1e-5)
    assert np.corrcoef(cam.ravel(), found.ravel())[0, 1] > 0.99


@pytest.mark.skipif(not explain.has_grad_cam_package(), reason='grad-cam is not installed, or not in working order')
def test_grad_cam_equals_the_package(predictor, folder):
    model, inputs = predictor.model, inputs_of(predictor, folder)
    stages = explain.default_stages(model, inputs)
    own = explain.grad_cam(model, inputs, stages, 0, package=False)
    theirs = explain.grad_cam(model, inputs, stages, 0, package=True)
    for name in stages:
        np.testing.assert_allclose(own[name], theirs[name], atol=1e-5)


def test_grad_cam_refuses_what_it_cannot_show(predictor, folder):
    model, inputs = predictor.model, inputs_of(predictor, folder)
    with pytest.raises(ValueError, match='class_id is 11, the network has classes 0 to 10'):
        explain.grad_cam(model, inputs, ['decode_head'], 11)
    with pytest.raises(ValueError, match="stage 'backbone' gives no single map"):
        explain.grad_cam(model, inputs, ['backbone'], 0)
    model.backbone.spare = torch.nn.Conv2d(3, 1, 1)
    hook = model.backbone.register_forward_pre_hook(lambda module, images: module.spare(images[0]) is None or None)
    with pytest.raises(ValueError, match="stage 'backbone.spare' has no influence on the logits"):
        explain.grad_cam(model, inputs, ['backbone.spare'], 0)
    hook.remove()
    del model.backbone.spare


def test_one_pathway_alone_and_both_again(predictor, folder):
    image = find_pairs([str(folder / 'images')])[0][1]
    both = explain.segment(predictor, image)
    np.testing.assert_array_equal(both, predictor(image))
    seen = []
    watch = predictor.model.decode_head.aggregation.register_forward_pre_hook(lambda _, maps: seen.append(maps))
    for kept in ('detail', 'semantic'):
        with explain.one_pathway(predictor.model, kept):
            explain.segment(predictor, image)
            aggregation = predictor.model.decode_head.aggregation
            late = aggregation.register_forward_pre_hook(lambda _, maps: seen.append(maps))
            explain.segment(predictor, image)
            late.remove()
    watch.remove()
    free, changed = seen[0], [seen[2], seen[5]]
    for flat, maps in zip((1, 0), changed):
        torch.testing.assert_close(maps[1 - flat], free[1 - flat])
        torch.testing.assert_close(maps[flat], free[flat].mean((2, 3), keepdim=True).expand_as(free[flat]))
    np.testing.assert_array_equal(explain.segment(predictor, image), both)
    with pytest.raises(ValueError, match="kept is 'both', 'detail' or 'semantic' is wanted"), \
            explain.one_pathway(predictor.model, 'both'):
        pass
    with pytest.raises(ValueError, match='the decode head has no aggregation'), \
            explain.one_pathway(torch.nn.Identity(), 'detail'):
        pass


def test_the_tool_writes_a_page_for_config_and_checkpoint(predictor, folder, tmp_path, monkeypatch, capsys):
    predictor.cfg.dump(str(tmp_path / 'tiny.py'))
    torch.save(predictor.model.state_dict(), tmp_path / 'tiny.pth')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr('bisenet_plugins.weights.store.FOLDER', tmp_path)

    def call(*arguments):
        monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments)])
        monkeypatch.setattr(sys, 'path', list(sys.path))
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(TOOL), run_name='__main__')
        return end.value.code

    images, labels = folder / 'images', folder / 'labels'
    assert call('tiny.py', 'tiny.pth', images, '--labels', labels, '--out', 'page.html', '--show', '1') == 0
    assert 'on 2 pictures' in capsys.readouterr().out and Page('page.html').sections == SECTIONS
    assert call(images) == 1
    assert 'no network comes with this copy of the package; name a config' in capsys.readouterr().err
    assert call('tiny.py', images) == 1
    assert 'behind a config come its checkpoint and the pictures' in capsys.readouterr().err
    assert call('tiny.py', 'tiny.pth', images, '--pretrained', 'a') == 1
    assert '--pretrained takes the place of config and checkpoint' in capsys.readouterr().err
