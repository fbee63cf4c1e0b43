"""The two-pathway backbone."""

from __future__ import annotations

from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor

from ...errors import expect
from ..build import as_maps, build_part, probe

DETAIL_STRIDE = 8


@MODELS.register_module()
class BilateralNetwork(BaseModule):
    """Run a detail branch and a semantic branch on the same image.

    The backbone of the bilateral family; any mmseg head may follow it, :class:`BGAHead` joins its first and last map.

    Args:
        semantic_branch: Config of the semantic branch: :class:`SemanticBranch`, :class:`ContextPath`, or any backbone
            of mmseg, mmpretrain (``type='mmpretrain.X'``) or timm (``type='TIMMBackbone'``).
        detail_branch: Config of the detail branch: :class:`DetailBranch`, :class:`SpatialPath`, or any backbone with
            one map. ``None``: the semantic branch's first stride-8 map is the detail map (STDC).
        in_channels: Channels of the image, for both branches.
        conv_cfg: Convolution for both branches; ``None`` leaves them theirs.
        norm_cfg: Norm for both branches; ``None`` leaves them theirs.
        act_cfg: Activation for both branches; ``None`` leaves them theirs.
        init_cfg: Initialisation, as in mmengine.

    Shape:
        - Input: ``(N, in_channels, H, W)``.
        - Output: tuple ``(detail, *semantic)`` of maps ``(N, C, H/s, W/s)``, sides rounded up; ``out_channels`` and
          ``out_strides`` hold each C and s. With the branches of V2: the detail map (s 8), then s 4, 8, 16, 32, 32.

    Raises:
        ValueError: If a branch does not fit: the detail branch has not one map at stride 8; the semantic branch has a
            single map, or maps not ordered from shallow to deep; no stride-8 map while ``detail_branch`` is ``None``.

    Note:
        Settings reach a branch only where its class takes an argument of that name, and what the branch's own dict says
        wins.

    Source:
        BiSeNet V2, Figure 3; BiSeNet V1, Figure 2; STDC, Figure 4.

    Example:
        >>> import torch
        >>> net = BilateralNetwork(dict(type='MobileNetV2'), dict(type='DetailBranch')).eval()
        >>> net.out_channels, net.out_strides
        ((128, 24, 32, 96, 320), (8, 4, 8, 16, 32))
        >>> net(torch.rand(1, 3, 64, 64))[0].shape
        torch.Size([1, 128, 8, 8])
    """

    def __init__(self, semantic_branch: dict = dict(type='SemanticBranch'),
                 detail_branch: dict | None = dict(type='DetailBranch'), in_channels: int = 3,
                 conv_cfg: dict | None = None, norm_cfg: dict | None = None, act_cfg: dict | None = None,
                 init_cfg: dict | list | None = None) -> None:
        super().__init__(init_cfg)
        # Three is what every backbone expects, also those without such an argument.
        handed = in_channels if in_channels != 3 else None
        settings = dict(in_channels=handed, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.semantic_branch = build_part(semantic_branch, 'semantic_branch', **settings)
        channels, strides = probe(self.semantic_branch, in_channels, 'semantic_branch')
        name = type(self.semantic_branch).__name__
        expect(len(channels) > 1, 'semantic_branch', f'several maps from {name} (see its out_indices)', strides)
        expect(list(strides) == sorted(strides), 'semantic_branch', f'maps from shallow to deep from {name}', strides)
        if detail_branch is None:
            self.detail_branch = None
            expect(DETAIL_STRIDE in strides, 'semantic_branch',
                   f'a map of stride {DETAIL_STRIDE} from {name}, for detail_branch=None', strides)
            self._detail_index = strides.index(DETAIL_STRIDE)
            detail_channels = channels[self._detail_index]
        else:
            self.detail_branch = build_part(detail_branch, 'detail_branch', **settings)
            found_channels, found_strides = probe(self.detail_branch, in_channels, 'detail_branch')
            expect(found_strides == (DETAIL_STRIDE,), 'detail_branch',
                   f'one map of stride {DETAIL_STRIDE} from {type(self.detail_branch).__name__}', found_strides)
            detail_channels = found_channels[0]
        self.out_channels = (detail_channels, *channels)
        self.out_strides = (DETAIL_STRIDE, *strides)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the detail map, then the semantic maps."""
        semantic = self.semantic_branch(x)
        detail = semantic[self._detail_index] if self.detail_branch is None else as_maps(self.detail_branch(x))[0]
        return (detail, *semantic)
