"""The semantic branch: its knobs against the tables of the BiSeNet V2 paper."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bisenet_plugins.models import DetailBranch, SemanticBranch


def paper_gflops(module, height=512, width=1024):
    """Convolution MACs, two per value that a batch norm writes and one per value of a ReLU, at 1024 x 512."""
    total, hooks = 0, []

    def count(layer, _, output):
        nonlocal total
        if isinstance(layer, nn.Conv2d):
            total += output.numel() * layer.weight[0].numel()
        elif isinstance(layer, nn.BatchNorm2d):
            total += 2 * output.numel()
        elif isinstance(layer, nn.ReLU):
            total += output.numel()

    for layer in module.modules():
        hooks.append(layer.register_forward_hook(count))
    # A quarter of each side gives a sixteenth of the cost everywhere but in the pooled context, which is negligible.
    with torch.no_grad():
        module.eval()(torch.zeros(1, 3, height // 4, width // 4))
    for hook in hooks:
        hook.remove()
    return 16 * total / 1e9


@pytest.fixture(scope='module')
def base_gflops():
    return paper_gflops(SemanticBranch())


@pytest.mark.parametrize(('epsilon', 'difference'), [(1, -3.37), (2, -2.70), (4, -1.35), (8, 1.35)])
def test_expansion_ratio_costs_what_table_3c_says(base_gflops, epsilon, difference):
    assert paper_gflops(SemanticBranch(expand_ratio=epsilon)) - base_gflops == pytest.approx(difference, abs=0.03)


@pytest.mark.parametrize(('depth', 'difference'), [(2, 4.12), (3, 8.23), (4, 12.35)])
def test_depth_costs_what_table_5_says(base_gflops, depth, difference):
    assert paper_gflops(SemanticBranch(depth_mult=depth)) - base_gflops == pytest.approx(difference, abs=0.03)


@pytest.mark.parametrize(('ratio', 'difference'), [(1 / 2, 4.69), (1 / 8, -1.22), (1 / 16, -1.54)])
def test_channel_ratio_costs_what_table_3a_says(ratio, difference):
    """With the stem's fusion as a 1x1 convolution, which is what the table fits."""
    base = paper_gflops(SemanticBranch(stem_fusion_kernel=1))
    cost = paper_gflops(SemanticBranch(channel_ratio=ratio, stem_fusion_kernel=1))
    assert cost - base == pytest.approx(difference, abs=0.03)


def test_large_model_costs_what_table_5_says():
    """From alpha 2, d 1 (85.94) to alpha 2, d 3 (118.51)."""
    deep = paper_gflops(SemanticBranch(width_mult=2, depth_mult=3))
    assert deep - paper_gflops(SemanticBranch(width_mult=2)) == pytest.approx(32.57, abs=0.05)


def test_depthwise_expansion_is_not_what_the_paper_counts(base_gflops):
    published = paper_gflops(SemanticBranch(expansion='depthwise'))
    deeper = paper_gflops(SemanticBranch(expansion='depthwise', depth_mult=2))
    assert published < base_gflops / 2
    assert deeper - published == pytest.approx(1.09, abs=0.05)  # the paper has 4.12


def test_detail_branch_costs_what_table_2_leaves_for_it():
    assert paper_gflops(DetailBranch()) == pytest.approx(11.78, abs=0.05)


@pytest.mark.parametrize(('knobs', 'channels'), [
    ({}, (16, 32, 64, 128, 128)),
    (dict(channel_ratio=1 / 16), (4, 8, 64, 128, 128)),
    (dict(width_mult=1.25), (20, 40, 80, 160, 160)),
    (dict(width_mult=2, depth_mult=3), (32, 64, 128, 256, 256)),
])
def test_widths(knobs, channels):
    assert SemanticBranch(**knobs).out_channels == channels


def test_depth_multiplies_the_layers_of_every_stage():
    assert [len(stage) for stage in SemanticBranch(depth_mult=3).stages] == [6, 6, 12]
    assert [len(stage) for stage in SemanticBranch().stages] == [2, 2, 4]


def test_block_design_of_table_3b():
    base, single = SemanticBranch(), SemanticBranch(double_depthwise=False)
    assert [m.kernel_size for m in single.stages[0][0].depthwise.modules() if isinstance(m, nn.Conv2d)] == [(5, 5)]
    assert [m.stride for m in base.stages[0][0].depthwise.modules() if isinstance(m, nn.Conv2d)] == [(2, 2), (1, 1)]
    assert SemanticBranch(gather_kernel=1).stages[0][1].gather.conv.kernel_size == (1, 1)


@pytest.mark.parametrize('published', [False, True])
def test_options_where_paper_and_published_networks_differ(published):
    """Activation after the depthwise convolution; norm and activation at the end of the context embedding."""
    branch = SemanticBranch(expansion='depthwise' if published else 'conv')
    assert branch.stages[1][1].depthwise[-1].with_activation is published
    assert branch.context.conv.with_norm is branch.context.conv.with_activation is published
    other = SemanticBranch(depthwise_act=not published, context_norm_act=not published)
    assert other.stages[1][1].depthwise[-1].with_activation is not published
    assert other.context.conv.with_norm is not published


@pytest.mark.parametrize(('knobs', 'message'), [
    (dict(expansion='dense'), "expansion: expected 'conv' or 'depthwise', got 'dense'"),
    (dict(gather_kernel=5), 'gather_kernel: expected 1 or 3, got 5'),
    (dict(stem_fusion_kernel=2), 'stem_fusion_kernel: expected 1 or 3, got 2'),
    (dict(width_mult=0.001), 'channel_ratio and width_mult: expected at least one channel'),
    (dict(depth_mult=0.1), 'depth_mult: expected at least one'),
    (dict(expand_ratio=0), 'expand_ratio: expected a number above 0, got 0'),
])
def test_wrong_knobs_are_refused(knobs, message):
    with pytest.raises(ValueError, match=message):
        SemanticBranch(**knobs)


def test_detail_branch_refuses_two_stages():
    with pytest.raises(ValueError, match='DetailBranch.channels: expected 3 values'):
        DetailBranch(channels=(64, 128))


def conv_norm(x, state, prefix, stride=1, groups=1, relu=False):
    """Convolution, batch norm in evaluation mode and ReLU, written out."""
    kernel = state[f'{prefix}.conv.weight']
    x = F.conv2d(x, kernel, state.get(f'{prefix}.conv.bias'), stride, kernel.shape[-1] // 2, groups=groups)
    if f'{prefix}.bn.weight' in state:
        mean, var, scale, shift = (state[f'{prefix}.bn.{name}'][None, :, None, None]
                                   for name in ('running_mean', 'running_var', 'weight', 'bias'))
        x = (x - mean) / (var + 1e-5).sqrt() * scale + shift
    return x.clamp(min=0) if relu else x


def reference_layer(x, state, prefix, expansion, stride):
    """A gather-and-expansion layer as Figure 5(b) and (c) draw it; the published networks add a ReLU."""
    inner = conv_norm(x, state, f'{prefix}.gather', relu=True)
    kernels = sorted({name.split('.depthwise.')[1].split('.')[0] for name in state if f'{prefix}.depthwise.' in name})
    for place, kernel in enumerate(kernels):
        last = place == len(kernels) - 1
        inner = conv_norm(inner, state, f'{prefix}.depthwise.{kernel}', stride if place == 0 else 1,
                          groups=inner.shape[1], relu=last and expansion == 'depthwise')
    inner = conv_norm(inner, state, f'{prefix}.project')
    if f'{prefix}.shortcut.0.conv.weight' in state:
        x = conv_norm(x, state, f'{prefix}.shortcut.0', stride, groups=x.shape[1])
        x = conv_norm(x, state, f'{prefix}.shortcut.1')
    return (inner + x).clamp(min=0)


@pytest.mark.parametrize('expansion', ['conv', 'depthwise'])
def test_every_map_is_that_of_layers_written_out(expansion):
    """Stages 3 to 5_5 of a trained-looking branch against plain functions, for both readings of the paper."""
    branch = SemanticBranch(expand_ratio=3, expansion=expansion).eval()
    for module in branch.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in ((module.running_mean, -.3, .3), (module.running_var, .6, 1.5),
                                      (module.weight, .5, 1.5), (module.bias, -.3, .3)):
                nn.init.uniform_(tensor, low, high)
    state = branch.state_dict()
    with torch.no_grad():
        maps = branch(torch.randn(1, 3, 64, 96))
        x = maps[0]
        for stage, layers in enumerate(branch.stages):
            for number in range(len(layers)):
                x = reference_layer(x, state, f'stages.{stage}.{number}', expansion, 2 if number == 0 else 1)
            torch.testing.assert_close(maps[stage + 1], x, rtol=1e-4, atol=1e-4)
        pooled = x.mean((2, 3), keepdim=True)
        mean, var, scale, shift = (state[f'context.norm.{name}'][None, :, None, None]
                                   for name in ('running_mean', 'running_var', 'weight', 'bias'))
        pooled = conv_norm((pooled - mean) / (var + 1e-5).sqrt() * scale + shift, state, 'context.conv_pooled',
                           relu=True)
        x = conv_norm(x + pooled, state, 'context.conv', relu=expansion == 'depthwise')
        torch.testing.assert_close(maps[-1], x, rtol=1e-4, atol=1e-4)
