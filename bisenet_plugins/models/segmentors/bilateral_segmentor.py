"""The segmentor that goes from stride-8 logits to the mask without full-size logits.

Shape letters: N batch, C channels, K classes, H and W image sides, h and w map sides, in pixels.
"""

from __future__ import annotations

import logging
from contextlib import nullcontext
from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.logging import print_log
from mmengine.structures import PixelData
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from ...fast_mask import upsample_argmax
from ..backbones.bilateral import BilateralNetwork
from ..build import complete, complete_head
from ..layers import lay_channels_last
from ..recompute import recomputed_norms

HEAD_STEPS = ('predict', 'predict_by_feat')
PARTIAL = 'bisenet_plugins.partial'
"""In its metadata, this key of a state dict says that a network takes from it what fits, and names the rest."""
_SEGMENTOR_STEPS = ('encode_decode', 'whole_inference', 'inference', 'postprocess_result')


@MODELS.register_module()
class BilateralSegmentor(EncoderDecoder):
    """Encode, decode, and write the mask straight from the decode head's low-resolution logits.

    A drop-in for mmseg's ``EncoderDecoder``: the same arguments, losses and results. Only ``predict`` differs: where
    nobody asks for logits, it neither holds nor resizes them at full size.

    Args:
        backbone: Config of the backbone.
        decode_head: Config of the decode head; ``in_channels`` may be left out, the backbone knows them.
        auxiliary_head: Config of one head, a list of them as in mmseg, or a dict of them by name, from which a later
            config takes one out by setting it to ``None``.
        num_classes: Number of classes for every head that does not say its own.
        conv_cfg: Convolution for every part that does not say its own, and so on for the next ones.
        norm_cfg: Norm.
        act_cfg: Activation.
        align_corners: How maps are resized.
        channels_last: Keep the weights, and with them every map, in channels-last memory: equal up to rounding, faster
            on CPUs and on GPUs with tensor cores.
        recompute_norms: Train in less memory: outputs of batch norms and ReLUs are made again in the backward pass. The
            gradients are equal up to rounding, a step takes a few percent more time.
        **kwargs: Other arguments of mmseg's ``EncoderDecoder``. ``test_cfg`` also takes ``return_logits``, whether
            every result is to carry ``seg_logits`` as mmseg's does.

    Shape:
        - Input: ``(N, C, H, W)`` images, already normalised.
        - Output of ``predict``: N data samples, each with ``pred_sem_seg`` ``(1, H', W')`` int64, where ``(H', W')`` is
          the sample's ``ori_shape``.

    Note:
        mmseg resizes logits to the padded network input, crops the padding and resizes again to ``ori_shape``. When
        the second resize changes nothing, the mask equals mmseg's (where classes tie up to rounding, either
        may win). Otherwise it is one interpolation straight from the logits to ``ori_shape``, which agrees with
        mmseg's two in all but a few border pixels.
        mmseg's own path, with ``seg_logits`` in the results, is taken for ``return_logits``, for slide mode, inside
        :class:`BilateralTTAModel`, for one output channel, for a decode head or a subclass that resizes or decides by
        itself, and while a graph is traced for export.

    Example:
        >>> from mmseg.registry import MODELS
        >>> import mmseg.models
        >>> backbone = dict(type='ResNetV1c', depth=18, base_channels=8, norm_cfg=dict(type='BN'))
        >>> head = dict(type='FCNHead', in_channels=64, channels=8, num_classes=3, norm_cfg=dict(type='BN'))
        >>> model = MODELS.build(dict(type='BilateralSegmentor', backbone=backbone, decode_head=head)).eval()
        >>> sample, = model.predict(torch.rand(1, 3, 64, 96))
        >>> sample.pred_sem_seg.data.shape, 'seg_logits' in sample
        (torch.Size([1, 64, 96]), False)
    """

    mask_dtype = torch.int64
    """Type of the masks; with at most 256 classes, ``torch.uint8`` is written faster."""

    def __init__(self, backbone: dict, decode_head: dict, auxiliary_head: dict | list | None = None,
                 num_classes: int | None = None, conv_cfg: dict | None = None, norm_cfg: dict | None = None,
                 act_cfg: dict | None = None, align_corners: bool | None = None, channels_last: bool = False,
                 recompute_norms: bool = False, **kwargs: Any) -> None:
        self.recompute_norms = recompute_norms
        self._settings = dict(
            num_classes=num_classes, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg, align_corners=align_corners)
        kwargs['test_cfg'] = ConfigDict({'mode': 'whole', **(kwargs.get('test_cfg') or {})})
        super().__init__(backbone=complete(backbone, 'backbone', **self._settings), decode_head=decode_head,
                         auxiliary_head=auxiliary_head, **kwargs)
        if channels_last:  # here and not later: DistributedDataParallel keeps the strides that it finds
            lay_channels_last(self)
        self._name_what_does_not_learn()

    def _init_decode_head(self, decode_head: dict) -> None:
        super()._init_decode_head(self._complete_head(decode_head, 'decode_head'))

    def _init_auxiliary_head(self, auxiliary_head: dict | list | None) -> None:
        if isinstance(auxiliary_head, dict) and 'type' not in auxiliary_head:
            auxiliary_head = [head for head in auxiliary_head.values() if head is not None]
        if isinstance(auxiliary_head, list):
            auxiliary_head = [self._complete_head(head, 'auxiliary_head') for head in auxiliary_head] or None
        elif auxiliary_head is not None:
            auxiliary_head = self._complete_head(auxiliary_head, 'auxiliary_head')
        super()._init_auxiliary_head(auxiliary_head)

    def _complete_head(self, head: dict, argument: str) -> dict:
        if self.with_neck:  # the heads then read the neck's maps
            return complete(head, argument, **self._settings)
        return complete_head(head, argument, self.backbone, self._settings)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, local_metadata: dict, *args: Any) -> None:
        """Keep the own weights where a partial state dict has none that fit, and say in one line which."""
        if local_metadata.get(PARTIAL):
            left: dict[str, set[str]] = {}
            for name, value in self.state_dict(prefix=prefix).items():
                if name not in state_dict or state_dict[name].shape != value.shape:
                    why = 'of another shape' if name in state_dict else 'not in the file'
                    if not name.endswith('num_batches_tracked'):
                        left.setdefault(why, set()).add('.'.join(name.split('.')[:2]))
                    state_dict[name] = value
            if left:
                told = '; '.join(f'{", ".join(sorted(names))} ({why})' for why, names in left.items())
                print_log(f'weights that were not loaded: {told}', logger='current')
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)

    def _name_what_does_not_learn(self) -> None:
        """Warn where no head reads a branch: it would get no gradient, and distributed training would stop."""
        if not isinstance(self.backbone, BilateralNetwork) or self.backbone.detail_branch is None or self.with_neck:
            return
        auxiliary = getattr(self, 'auxiliary_head', None)
        heads = [self.decode_head, *(auxiliary if isinstance(auxiliary, nn.ModuleList) else [auxiliary])]
        heads = [head for head in heads if head is not None]
        if not all(hasattr(head, 'in_index') for head in heads):  # one of its own kind reads what it likes
            return
        places = [head.in_index if isinstance(head.in_index, list | tuple) else (head.in_index,) for head in heads]
        read = {place % len(self.backbone.out_channels) for some in places for place in some}
        if any(getattr(head, 'c1_bottleneck', None) is not None for head in heads):  # mmseg's ASPP reads the first, too
            read.add(0)
        for branch, unread in (('detail_branch', 0 not in read), ('semantic_branch', not read - {0})):
            if unread:
                print_log(f'{branch}: no head reads its maps (in_index {sorted(read)} of '
                          f'{len(self.backbone.out_channels)}), so that it does not learn; give a head the map that it '
                          'lacks, such as BGAHead with in_index=(0, -1)', logger='current', level=logging.WARNING)

    def loss(self, inputs: Tensor, data_samples: list[SegDataSample]) -> dict[str, Tensor]:
        """Return the losses of all heads, as mmseg's ``EncoderDecoder`` does."""
        with recomputed_norms(self) if self.recompute_norms else nullcontext():
            return super().loss(inputs, data_samples)

    def predict(self, inputs: Tensor, data_samples: list[SegDataSample] | None = None,
                return_logits: bool | None = None) -> list[SegDataSample]:
        """Return every image with its mask at the size of the original image.

        Args:
            inputs: Images ``(N, C, H, W)``, normalised and padded.
            data_samples: What is known of each image: ``ori_shape``, ``img_shape``, padding and flip. Without them
                the masks have the size of ``inputs``.
            return_logits: Whether the results carry ``seg_logits`` too; ``test_cfg.return_logits`` when left out.

        Returns:
            The data samples (new ones if none were given) with ``pred_sem_seg`` set.
        """
        if not self._straight_to_mask(return_logits):
            results = super().predict(inputs, data_samples)
            if self.out_channels == 1 and not torch.jit.is_tracing():
                for result in results:  # mmseg returns a floating point mask for one channel
                    result.pred_sem_seg.data = result.pred_sem_seg.data.long()
            return results
        logits = self.decode_head.forward(self.extract_feat(inputs))  # (N, K, h, w)
        if data_samples is None:
            sides = tuple(inputs.shape[2:])
            data_samples = [SegDataSample(metainfo=dict(img_shape=sides, ori_shape=sides)) for _ in inputs]
        masks = self._masks(logits, [sample.metainfo for sample in data_samples])
        for sample, mask in zip(data_samples, masks, strict=True):
            sample.set_data({'pred_sem_seg': PixelData(data=mask[None])})
        return data_samples

    def _straight_to_mask(self, return_logits: bool | None) -> bool:
        """Return whether the mask may be written without mmseg's path."""
        settings = self.test_cfg or {}
        keeps_logits = settings.get('return_logits') if return_logits is None else return_logits
        return (not keeps_logits and settings.get('mode', 'whole') == 'whole' and self.out_channels > 1
                and not torch.jit.is_tracing() and not torch.onnx.is_in_onnx_export()
                and isinstance(self.decode_head, BaseDecodeHead)
                and inherits(self.decode_head, BaseDecodeHead, HEAD_STEPS)
                and inherits(self, EncoderDecoder, _SEGMENTOR_STEPS))

    def _masks(self, logits: Tensor, metas: list[dict]) -> list[Tensor]:
        """Write the mask of each image, images of equal geometry together."""
        size = _network_size(metas[0])
        groups: dict[tuple, list[int]] = {}
        for index, meta in enumerate(metas):
            left, right, top, bottom = meta.get('img_padding_size', meta.get('padding_size', (0, 0, 0, 0)))
            window = (int(top), size[0] - int(bottom), int(left), size[1] - int(right))
            groups.setdefault((window, tuple(meta['ori_shape'][:2])), []).append(index)
        masks: dict[int, Tensor] = {}
        for (window, ori_shape), indices in groups.items():
            members = logits if len(indices) == len(logits) else logits[indices]
            group = upsample_argmax(
                members, size, self.align_corners, window=window, window_size=ori_shape, dtype=self.mask_dtype)
            masks.update(zip(indices, group, strict=True))
        return [_unflip(masks[index], meta) for index, meta in enumerate(metas)]


def _network_size(meta: dict) -> tuple[int, int]:
    """Return the size that mmseg's ``predict_by_feat`` resizes the logits to."""
    shape = meta['img_shape']
    shape = shape if isinstance(shape, torch.Size) else meta.get('pad_shape', shape)
    return int(shape[0]), int(shape[1])


def _unflip(mask: Tensor, meta: dict) -> Tensor:
    """Undo the flip of the image on its mask; bilinear resizing and flipping commute."""
    if not meta.get('flip', None):
        return mask
    direction = meta.get('flip_direction', None)
    if direction not in ('horizontal', 'vertical'):
        raise ValueError(f"flip_direction: expected 'horizontal' or 'vertical' for a flipped image, got {direction!r}")
    return mask.flip(1 if direction == 'horizontal' else 0)


def inherits(thing: nn.Module, base: type, names: tuple[str, ...]) -> bool:
    """Return whether the named methods are the base class's own.

    Args:
        thing: What has the methods.
        base: The class.
        names: The methods.

    Example:
        >>> inherits(nn.ReLU(), nn.Module, ('train', 'forward'))
        False
    """
    return all(getattr(type(thing), name, None) is getattr(base, name) for name in names)
