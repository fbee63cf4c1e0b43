"""``BilateralSegmentor`` against mmseg's ``EncoderDecoder`` with the same weights."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from mmseg.models.decode_heads import FCNHead
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bisenet_plugins.fast_mask import CHUNK_ELEMENTS
from bisenet_plugins.models.segmentors import BilateralSegmentor, bilateral_segmentor

CLASSES = 6
NORM = dict(type='BN')
# Ways of padding 64 x 96 network inputs: left, right, top, bottom.
PADDINGS = [(0, 0, 0, 0), (0, 7, 0, 13), (3, 5, 9, 2)]


class PooledColours(nn.Module):
    """A backbone with one map at stride 8, as smooth as its input is."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(3, 16, 1)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (torch.tanh(self.mix(F.avg_pool2d(x, 8, ceil_mode=True))),)


class SelfResizingHead(FCNHead):
    """A head that decides for itself what becomes of its logits."""

    def predict_by_feat(self, seg_logits: Tensor, batch_img_metas: list[dict]) -> Tensor:
        return super().predict_by_feat(-seg_logits, batch_img_metas)


def config(kind: str, **changes: Any) -> dict:
    head = dict(
        type='FCNHead', in_channels=16, in_index=0, channels=16, num_convs=0, concat_input=False,
        num_classes=CLASSES, norm_cfg=NORM, align_corners=False,
    )  # fmt: skip
    head.update(changes.pop('head', {}))
    backbone = dict(type=PooledColours)
    return dict(type=kind, backbone=backbone, decode_head=head, test_cfg=ConfigDict(mode='whole'), **changes)


def pair(**changes: Any) -> tuple[BilateralSegmentor, EncoderDecoder]:
    """Build ours and mmseg's with the same random weights."""
    torch.manual_seed(0)
    ours = MODELS.build(config('BilateralSegmentor', **changes))
    theirs = MODELS.build(config('EncoderDecoder', **changes))
    nn.init.normal_(ours.decode_head.conv_seg.weight, std=1.0)
    theirs.load_state_dict(ours.state_dict())
    return ours.eval(), theirs.eval()


def smooth_images(batch: int = 2, size: tuple[int, int] = (64, 96)) -> Tensor:
    coarse = torch.randn(batch, 3, 5, 7, generator=torch.Generator().manual_seed(3))
    return 3 * F.interpolate(coarse, size, mode='bicubic', align_corners=True)


def samples(*metas: dict, size: tuple[int, int] = (64, 96)) -> list[SegDataSample]:
    return [SegDataSample(metainfo={'img_shape': size, 'pad_shape': size, **meta}) for meta in metas]


def cropped(padding: tuple[int, int, int, int], size: tuple[int, int] = (64, 96)) -> tuple[int, int]:
    left, right, top, bottom = padding
    return size[0] - top - bottom, size[1] - left - right


def assert_same_mask(ours: SegDataSample, theirs: SegDataSample, agreement: float = 0.999) -> None:
    """Check a class map against mmseg's, where mmseg's own logits say which differences are ties."""
    mask, full = ours.pred_sem_seg.data, theirs.seg_logits.data
    assert mask.dtype == torch.int64
    assert mask.shape == theirs.pred_sem_seg.data.shape
    assert (mask == theirs.pred_sem_seg.data).float().mean() >= agreement
    if agreement >= 0.999:
        torch.testing.assert_close(full.gather(0, mask)[0], full.amax(0), rtol=0, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('key', ['img_padding_size', 'padding_size'])
@pytest.mark.parametrize('flip', [None, 'horizontal', 'vertical'])
@pytest.mark.parametrize('padding', PADDINGS)
def test_equals_mmseg_with_padding_and_flips(padding: Any, flip: str | None, key: str, align_corners: bool) -> None:
    ours, theirs = pair(head=dict(align_corners=align_corners))
    meta = {key: padding, 'ori_shape': cropped(padding)}
    if flip:
        meta.update(flip=True, flip_direction=flip)
    plain = {'ori_shape': (64, 96)}
    got = ours.predict(smooth_images(), samples(meta, plain))
    want = theirs.predict(smooth_images(), samples(meta, plain))
    for a, b in zip(got, want, strict=True):
        assert len(a.pred_sem_seg.data.unique()) > 2
        assert 'seg_logits' not in a
        assert_same_mask(a, b)


@torch.no_grad()
@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('flip', [None, 'horizontal', 'vertical'])
def test_resized_to_original_shapes_agrees_with_mmseg(flip: str | None, align_corners: bool) -> None:
    ours, theirs = pair(head=dict(align_corners=align_corners))
    size = 128, 192
    metas = [
        {'ori_shape': (256, 384)},
        {'ori_shape': (201, 311), 'padding_size': (0, 16, 0, 8)},
        {'ori_shape': (256, 384), 'padding_size': (13, 8, 5, 16)},
        {'ori_shape': (60, 101)},
    ]
    for meta in metas:
        meta.update(flip=flip is not None, flip_direction=flip)
    images = smooth_images(4, size)
    got, want = ours.predict(images, samples(*metas, size=size)), theirs.predict(images, samples(*metas, size=size))
    for a, b, meta in zip(got, want, metas, strict=True):
        assert a.pred_sem_seg.data.shape == (1, *meta['ori_shape'])
        assert_same_mask(a, b, agreement=0.995)


@torch.no_grad()
@pytest.mark.parametrize('size', [(33, 33), (63, 127)])
def test_without_data_samples(size: tuple[int, int]) -> None:
    ours, theirs = pair()
    images = smooth_images(2, size)
    for a, b in zip(ours.predict(images), theirs.predict(images), strict=True):
        assert a.pred_sem_seg.data.shape == (1, *size)
        assert 'seg_logits' not in a
        assert_same_mask(a, b)


@torch.no_grad()
def test_through_mmsegs_preprocessor() -> None:
    preprocessor = dict(
        type='SegDataPreProcessor', mean=[0.0] * 3, std=[1.0] * 3, pad_val=0, seg_pad_val=255, size=(64, 96),
        test_cfg=dict(size_divisor=32),
    )  # fmt: skip
    ours, theirs = pair(data_preprocessor=preprocessor)
    results = []
    for model in (ours, theirs):
        metas = [{'img_shape': (57, 83), 'ori_shape': (57, 83)}] * 2
        data = dict(inputs=list(smooth_images(2, (57, 83))), data_samples=[SegDataSample(metainfo=m) for m in metas])
        results.append(model.test_step(data))
    for a, b in zip(*results, strict=True):
        assert a.pred_sem_seg.data.shape == (1, 57, 83)
        assert_same_mask(a, b)


@torch.no_grad()
def test_resnet_with_auxiliary_head_runs_the_decode_head_only() -> None:
    head = dict(type='FCNHead', in_channels=64, channels=8, num_convs=1, num_classes=4, norm_cfg=NORM)
    cfg = dict(
        type='BilateralSegmentor',
        backbone=dict(type='ResNetV1c', depth=18, base_channels=8, norm_cfg=NORM),
        decode_head=head,
        auxiliary_head=dict(head, in_channels=32, in_index=2),
    )
    model = MODELS.build(cfg).eval()
    reference = MODELS.build(dict(cfg, type='EncoderDecoder', test_cfg=ConfigDict(mode='whole'))).eval()
    reference.load_state_dict(model.state_dict())
    calls = []
    model.auxiliary_head.register_forward_hook(lambda *_: calls.append(1))
    images = smooth_images(1, (65, 97))
    meta = {'ori_shape': (65, 97)}
    got, want = (m.predict(images, samples(meta, size=(65, 97))) for m in (model, reference))
    assert_same_mask(got[0], want[0])
    assert not calls


@torch.no_grad()
def test_one_channel_is_a_threshold() -> None:
    loss = dict(type='CrossEntropyLoss', use_sigmoid=True)
    head = dict(num_classes=2, out_channels=1, threshold=0.4, loss_decode=loss)
    ours, theirs = pair(head=head)
    metas = [{'ori_shape': (90, 131), 'padding_size': (0, 4, 0, 6)}, {'ori_shape': (64, 96)}]
    got, want = ours.predict(smooth_images(), samples(*metas)), theirs.predict(smooth_images(), samples(*metas))
    for a, b in zip(got, want, strict=True):
        assert a.pred_sem_seg.data.dtype == torch.int64
        assert set(a.pred_sem_seg.data.unique().tolist()) == {0, 1}
        torch.testing.assert_close(a.pred_sem_seg.data, b.pred_sem_seg.data.long())


@torch.no_grad()
@pytest.mark.parametrize('how', ['test_cfg', 'argument', 'slide'])
def test_logits_on_request(how: str) -> None:
    ours, theirs = pair()
    if how == 'slide':
        for model in (ours, theirs):
            model.test_cfg = ConfigDict(mode='slide', crop_size=(32, 48), stride=(20, 30))
    elif how == 'test_cfg':
        ours.test_cfg = ConfigDict(mode='whole', return_logits=True)
    meta = {'ori_shape': (40, 60)}
    want = theirs.predict(smooth_images(1), samples(meta))[0]
    got = ours.predict(smooth_images(1), samples(meta), **({'return_logits': True} if how == 'argument' else {}))[0]
    torch.testing.assert_close(got.seg_logits.data, want.seg_logits.data)
    torch.testing.assert_close(got.pred_sem_seg.data, want.pred_sem_seg.data)


@torch.no_grad()
def test_full_size_logits_are_never_made() -> None:
    class Largest(TorchDispatchMode):
        numel = 0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            out = func(*args, **(kwargs or {}))
            sizes = [x.numel() for x in tree_leaves(out) if isinstance(x, Tensor) and x.is_floating_point()]
            self.numel = max([self.numel, *sizes])
            return out

    ours, theirs = pair(head=dict(num_classes=19))
    numel = []
    for model in (ours, theirs):
        with Largest() as largest:
            model.predict(smooth_images(1, (128, 256)), samples({'ori_shape': (256, 512)}, size=(128, 256)))
        numel.append(largest.numel)
    assert numel[0] <= 2 * CHUNK_ELEMENTS < numel[1] == 19 * 256 * 512


@torch.no_grad()
def test_a_head_with_its_own_resize_is_left_to_mmseg() -> None:
    ours, theirs = pair(head=dict(type=SelfResizingHead))
    got, want = (m.predict(smooth_images(), samples(*[{'ori_shape': (64, 96)}] * 2)) for m in (ours, theirs))
    torch.testing.assert_close(got[1].pred_sem_seg.data, want[1].pred_sem_seg.data)
    assert 'seg_logits' in got[0]


@torch.no_grad()
def test_a_subclass_with_its_own_inference_is_left_to_mmseg() -> None:
    class Negated(BilateralSegmentor):
        def whole_inference(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
            return -super().whole_inference(inputs, batch_img_metas)

    ours, theirs = pair()
    ours.__class__ = Negated
    got, want = (m.predict(smooth_images())[0] for m in (ours, theirs))
    torch.testing.assert_close(got.seg_logits.data, -want.seg_logits.data)


@torch.no_grad()
def test_traced_graphs_hold_mmsegs_path(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, _ = pair()
    monkeypatch.setattr(torch.jit, 'is_tracing', lambda: True)
    assert 'seg_logits' in ours.predict(smooth_images())[0]


def test_tensor_and_loss_modes_are_mmsegs() -> None:
    ours, theirs = pair(head=dict(dropout_ratio=0.0))
    images = smooth_images()
    truth = torch.randint(0, CLASSES, (1, 64, 96), generator=torch.Generator().manual_seed(1))
    labelled = samples(*[{'ori_shape': (64, 96)}] * 2)
    for sample in labelled:
        sample.gt_sem_seg = PixelData(data=truth)
    torch.testing.assert_close(ours(images, mode='tensor'), theirs(images, mode='tensor'))
    got, want = (m.train()(images, labelled, mode='loss') for m in (ours, theirs))
    assert got.keys() == want.keys()
    torch.testing.assert_close(got, want)
    got['decode.loss_ce'].backward()
    assert ours.decode_head.conv_seg.weight.grad.abs().sum() > 0


@torch.no_grad()
def test_refuses_unknown_flip_directions() -> None:
    ours, _ = pair()
    meta = {'ori_shape': (64, 96), 'flip': True, 'flip_direction': 'diagonal'}
    with pytest.raises(ValueError, match="^flip_direction: expected .* for a flipped image, got 'diagonal'$"):
        ours.predict(smooth_images(1), samples(meta))


def test_without_test_cfg_it_predicts_as_with_the_whole_one() -> None:
    cfg = dict(backbone=dict(type='ResNetV1c', depth=18, base_channels=8, norm_cfg=dict(type='BN')),
               decode_head=dict(type='FCNHead', in_channels=64, channels=8, num_classes=3, norm_cfg=dict(type='BN')))
    bare = BilateralSegmentor(**cfg).eval()
    assert bare.test_cfg.mode == 'whole'
    assert bare.predict(smooth_images(1), return_logits=True)[0].seg_logits.shape[-2:] == (64, 96)
    single = BilateralSegmentor(**{**cfg, 'decode_head': {**cfg['decode_head'], 'num_classes': 1, 'threshold': 0.5}})
    assert single.eval().predict(smooth_images(1))[0].pred_sem_seg.data.max() <= 1


@pytest.mark.parametrize(('head', 'branch'), [
    (dict(type='FCNHead', channels=8, in_index=-1), 'detail_branch'),
    (dict(type='FCNHead', channels=8, in_index=0), 'semantic_branch'), (dict(type='BGAHead', channels=8), None),
    (dict(type='DepthwiseSeparableASPPHead', channels=8, in_index=-1, c1_in_channels=13, c1_channels=8), None)])
def test_a_branch_that_no_head_reads_is_named(head: dict, branch: str | None, monkeypatch: Any) -> None:
    small = dict(type='BilateralNetwork', detail_branch=dict(type='DetailBranch', width_mult=0.1),
                 semantic_branch=dict(type='SemanticBranch', width_mult=0.25, expand_ratio=1))
    said: list[str] = []
    monkeypatch.setattr(bilateral_segmentor, 'print_log', lambda message, **kwargs: said.append(message))
    model = MODELS.build(dict(type='BilateralSegmentor', backbone=small, decode_head=head, num_classes=2))
    assert [text.split(':')[0] for text in said] == ([branch] if branch else [])
    model.loss(torch.rand(2, 3, 64, 64), labelled_samples(2))['decode.loss_ce'].backward()
    starved = {name.split('.')[1] for name, value in model.backbone.named_parameters('backbone') if value.grad is None}
    assert starved == ({branch} if branch else set())


def test_a_head_that_says_nothing_of_its_maps_is_left_alone() -> None:
    class Own(torch.nn.Module):
        out_channels = num_classes = 2
        align_corners = False

    small = dict(type='BilateralNetwork', detail_branch=dict(type='DetailBranch', width_mult=0.1),
                 semantic_branch=dict(type='SemanticBranch', width_mult=0.25, expand_ratio=1))
    model = MODELS.build(dict(type='BilateralSegmentor', backbone=small, decode_head=dict(type=Own)))
    assert isinstance(model.decode_head, Own)


def test_weights_of_the_backbone_may_be_named_beside_it(tmp_path: Any) -> None:
    backbone = dict(type='MobileNetV2', widen_factor=0.25, out_indices=(0, 1))
    head = dict(type='FCNHead', channels=8, num_convs=1, in_channels=8, num_classes=2)
    build = partial(MODELS.build, dict(type='BilateralSegmentor', backbone=backbone, decode_head=head,
                                       pretrained=str(tmp_path / 'w.pth')))
    assert build().backbone.init_cfg == dict(type='Pretrained', checkpoint=str(tmp_path / 'w.pth'))


def labelled_samples(count: int) -> list[SegDataSample]:
    made = []
    for _ in range(count):
        sample = SegDataSample(metainfo=dict(img_shape=(64, 64)))
        sample.gt_sem_seg = PixelData(data=torch.randint(0, 2, (1, 64, 64)))
        made.append(sample)
    return made
