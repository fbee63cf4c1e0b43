"""The auxiliary head classifies one map by as many convolutions as it is told."""

import pytest
import torch
import torch.nn.functional as F

from bisenet_plugins.models import BoosterHead


def test_logits_are_those_of_the_layers_written_out():
    head = BoosterHead(4, 6, num_convs=2, num_classes=3, norm_cfg=None, dropout_ratio=0).eval()
    x = hidden = torch.randn(2, 4, 7, 9)
    for layer in head.convs:
        hidden = F.conv2d(hidden, layer.conv.weight, layer.conv.bias, padding=1).relu()
    assert [layer.conv.in_channels for layer in head.convs] == [4, 6]
    torch.testing.assert_close(head((x,)), F.conv2d(hidden, head.conv_seg.weight, head.conv_seg.bias))


@pytest.mark.parametrize('in_index', [1, -2])
def test_only_the_map_at_in_index_is_read(in_index):
    head = BoosterHead(4, 6, in_index=in_index, num_classes=3).eval()
    unread = torch.full((1, 5, 4, 4), torch.nan)
    assert head((unread, torch.rand(1, 4, 8, 8), unread)).isfinite().all()


def test_a_convolution_is_required():
    with pytest.raises(ValueError, match='num_convs: expected a whole number of at least 1, got 0'):
        BoosterHead(8, 8, num_convs=0, num_classes=2)
