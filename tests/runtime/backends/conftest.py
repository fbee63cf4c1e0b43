"""Small networks of the three families, for every backend."""

import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

V2 = dict(type='BilateralNetwork', detail_branch=dict(type='DetailBranch', width_mult=0.25),
          semantic_branch=dict(type='SemanticBranch', width_mult=0.5, expand_ratio=2))
V1 = dict(type='BilateralNetwork', detail_branch=dict(type='SpatialPath', channels=(8, 8, 8), projection_channels=16),
          semantic_branch=dict(type='ContextPath', channels=16, align_corners=True, backbone=dict(type='Xception39')))
STDC = dict(type='BilateralNetwork', detail_branch=None,
            semantic_branch=dict(type='ContextPath', channels=16, out_backbone_strides=(8,), upsample_mode='nearest',
                                 backbone=dict(type='STDCBackbone', channels=(4, 8, 16, 32, 64))))
FUSION = dict(channels=16, in_index=(0, -2), aggregation=dict(type='FeatureFusion'), aggregation_channels=16)
NETWORKS = {'v2': (V2, dict(channels=16)), 'v1': (V1, FUSION), 'stdc': (STDC, FUSION)}
SHAPES = [(1, 3, 64, 128), (2, 3, 97, 65), (3, 3, 120, 136)]


def segmentor(name):
    """One of the networks with statistics that folding has to get right."""
    init_default_scope('mmseg')
    torch.manual_seed(0)
    backbone, head = NETWORKS[name]
    model = MODELS.build(dict(type='BilateralSegmentor', num_classes=5, norm_cfg=dict(type='BN'), backbone=backbone,
                              decode_head=dict(type='BGAHead', **head)))
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            nn.init.uniform_(module.running_mean, -0.3, 0.3)
            nn.init.uniform_(module.running_var, 0.6, 1.5)
    nn.init.normal_(model.decode_head.conv_seg.weight, std=1.0)
    return model.eval()


@pytest.fixture(params=sorted(NETWORKS))
def network(request):
    """A segmentor of each family."""
    return segmentor(request.param)


class Classes(nn.Module):
    """A convolution, and the class of each pixel: what a self-contained graph ends with."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x):
        return self.conv(x).argmax(1, keepdim=True)


@pytest.fixture
def classes():
    """A network that returns classes."""
    return Classes().eval()
