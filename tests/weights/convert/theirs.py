"""What the other projects compute, restated as functions over named weights.

A forward pass asks :class:`Network` for each layer by the name that the project gives it. The first time the layer gets
random weights, so that one pass writes down the project's names and shapes and computes what must come out.
"""

import torch
import torch.nn.functional as F


class Network(dict):
    """Named weights that come into being when a layer is asked for."""

    def conv(self, name, x, out, kernel=3, stride=1, groups=1, bias=False):
        inside = x.shape[1] // groups
        if f'{name}.weight' not in self:
            self[f'{name}.weight'] = torch.randn(out, inside, kernel, kernel) * (2 / (inside * kernel**2))**0.5
            if bias:
                self[f'{name}.bias'] = torch.randn(out)
        return F.conv2d(x, self[f'{name}.weight'], self.get(f'{name}.bias'), stride, kernel // 2, 1, groups)

    def norm(self, name, x, in_place=False):
        """Batch norm; the in-place kind has no counter and scales by the size of its weight."""
        if f'{name}.weight' not in self:
            channels = x.shape[1]
            self[f'{name}.weight'] = torch.empty(channels).uniform_(0.5, 1.5)
            if in_place:
                self[f'{name}.weight'] *= torch.randint(0, 2, (channels, )) * 2 - 1
            self[f'{name}.bias'] = torch.randn(channels) * 0.2
            self[f'{name}.running_mean'] = torch.randn(channels) * 0.2
            self[f'{name}.running_var'] = torch.empty(channels).uniform_(0.5, 1.5)
            if not in_place:
                self[f'{name}.num_batches_tracked'] = torch.tensor(7)
        weight = self[f'{name}.weight']
        if in_place:
            weight = weight.abs() + 1e-5
        mean, var = self[f'{name}.running_mean'], self[f'{name}.running_var']
        return F.batch_norm(x, mean, var, weight, self[f'{name}.bias'])

    def unit(self, name, x, out, kernel=3, stride=1, in_place=False):
        """Convolution ``name.conv``, norm ``name.bn``, ReLU."""
        return F.relu(self.norm(f'{name}.bn', self.conv(f'{name}.conv', x, out, kernel, stride), in_place))

    def pair(self, name, x, out, kernel=3, stride=1, groups=1, conv='0', norm='1'):
        """Convolution and norm that are numbered in a sequence."""
        return self.norm(f'{name}.{norm}', self.conv(f'{name}.{conv}', x, out, kernel, stride, groups))


def pooled(x):
    return x.mean((2, 3), keepdim=True)


def resized(x, size, mode='bilinear', align_corners=False):
    return F.interpolate(x, size=size, mode=mode, align_corners=align_corners if mode == 'bilinear' else None)


def resnet(net, name, x, blocks, bottleneck=False, deep_stem=False):
    if deep_stem:
        x = F.relu(net.norm(f'{name}.conv1.1', net.conv(f'{name}.conv1.0', x, 64, 3, 2)))
        x = F.relu(net.norm(f'{name}.conv1.4', net.conv(f'{name}.conv1.3', x, 64)))
        x = net.conv(f'{name}.conv1.6', x, 128)
    else:
        x = net.conv(f'{name}.conv1', x, 64, 7, 2)
    x = F.max_pool2d(F.relu(net.norm(f'{name}.bn1', x)), 3, 2, 1)
    maps = []
    for stage, depth in enumerate(blocks):
        for block in range(depth):
            at, width = f'{name}.layer{stage + 1}.{block}', 64 * 2**stage
            stride, out = 2 if stage and not block else 1, width * (4 if bottleneck else 1)
            if bottleneck:
                y = F.relu(net.norm(f'{at}.bn1', net.conv(f'{at}.conv1', x, width, 1)))
                y = F.relu(net.norm(f'{at}.bn2', net.conv(f'{at}.conv2', y, width, 3, stride)))
                y = net.norm(f'{at}.bn3', net.conv(f'{at}.conv3', y, out, 1))
            else:
                y = F.relu(net.norm(f'{at}.bn1', net.conv(f'{at}.conv1', x, width, 3, stride)))
                y = net.norm(f'{at}.bn2', net.conv(f'{at}.conv2', y, width))
            if stride == 2 or x.shape[1] != out:
                x = net.pair(f'{at}.downsample', x, out, 1, stride)
            x = F.relu(x + y)
        maps.append(x)
    return maps[1:]


def xception39(net, name, x):
    def separable(at, y, out, stride=1, act=False):
        y = net.conv(f'{at}.conv1', y, y.shape[1], 3, stride, y.shape[1])
        y = net.norm(f'{at}.point_wise_cbr.bn', net.conv(f'{at}.point_wise_cbr.conv', y, out, 1))
        return F.relu(y) if act else y

    x = F.max_pool2d(net.unit(f'{name}.conv1', x, 8, 3, 2), 3, 2, 1)
    maps = []
    for stage, (depth, width) in enumerate(((4, 16), (8, 32), (4, 64))):
        for block in range(depth):
            at, stride = f'{name}.layer{stage + 1}.{block}', 1 if block else 2
            y = separable(f'{at}.residual_branch.0', x, width, stride, act=True)
            y = separable(f'{at}.residual_branch.1', y, width, act=True)
            y = separable(f'{at}.residual_branch.2', y, width * 4)
            x = F.relu(y + (x if block else separable(f'{at}.proj', x, width * 4, 2)))
        maps.append(x)
    return maps


def stdc(net, name, x, depths):
    x = net.unit(f'{name}.1', net.unit(f'{name}.0', x, 32, 3, 2), 64, 3, 2)
    maps, number = [x], 2
    for depth, width in zip(depths, (256, 512, 1024)):
        for module in range(depth):
            first = net.unit(f'{name}.{number}.conv_list.0', x, width // 2, 1)
            y, outs = first, []
            if module == 0:
                y = net.pair(f'{name}.{number}.avd_layer', first, width // 2, 3, 2, width // 2)
                first = F.avg_pool2d(first, 3, 2, 1)
            for block, share in enumerate((4, 8, 8), 1):
                y = net.unit(f'{name}.{number}.conv_list.{block}', y, width // share)
                outs.append(y)
            x = torch.cat([first, *outs], 1)
            number += 1
        maps.append(x)
    return maps


def coincheung_v1(net, image, classes, form='single'):
    """``form``: 'single' attention (newest), 'mlp' with bias, 'first' without bias and with aligned corners."""
    s8, s16, s32 = resnet(net, 'cp.resnet', image, (2, 2, 2, 2))
    return _bisenet(net, image, s8, s16, s32, spatial(net, image), classes, form)


def spatial(net, image):
    x = net.unit('sp.conv1', image, 64, 7, 2)
    return net.unit('sp.conv_out', net.unit('sp.conv3', net.unit('sp.conv2', x, 64, 3, 2), 64, 3, 2), 128, 1)


def _bisenet(net, image, s8, s16, s32, detail, classes, form, in_place=False):
    """The context path, fusion and heads that CoinCheung/BiSeNet and STDC-Seg have in common."""
    def arm(name, x):
        x = net.unit(f'{name}.conv', x, 128, 3, 1, in_place)
        return x * net.norm(f'{name}.bn_atten', net.conv(f'{name}.conv_atten', pooled(x), 128, 1), in_place).sigmoid()

    def head(name, x, width, out):
        return net.conv(f'{name}.conv_out', net.unit(f'{name}.conv', x, width, 3, 1, in_place), out, 1,
                        bias=form in ('single', 'mlp'))

    x = arm('cp.arm32', s32) + net.unit('cp.conv_avg', pooled(s32), 128, 1, 1, in_place)
    c16 = net.unit('cp.conv_head32', resized(x, s16.shape[2:], 'nearest'), 128, 3, 1, in_place)
    x = arm('cp.arm16', s16) + c16
    c8 = net.unit('cp.conv_head16', resized(x, s8.shape[2:], 'nearest'), 128, 3, 1, in_place)
    x = net.unit('ffm.convblk', torch.cat((detail, c8), 1), 256, 1, 1, in_place)
    if form == 'single':
        gate = net.norm('ffm.bn', net.conv('ffm.conv', pooled(x), 256, 1))
    else:
        gate = net.conv('ffm.conv2', F.relu(net.conv('ffm.conv1', pooled(x), 64, 1)), 256, 1)
    x = x + x * gate.sigmoid()
    outs = [head('conv_out', x, 256, classes)]
    outs += [head('conv_out16', c8, 64, classes), head('conv_out32', c16, 64, classes)]
    return [resized(out, image.shape[2:], align_corners=form in ('first', 'stdc')) for out in outs]


def stdc_seg(net, image, classes, depths):
    """Also the layers that are in the files and not run in the released setting."""
    name = 'cp.backbone.features'
    s4, s8, s16, s32 = stdc(net, name, image, depths)
    outs = _bisenet(net, image, s8, s16, s32, s8, classes, 'stdc', in_place=True)
    for at, x in (('sp16', s16), ('sp8', s8), ('sp4', s4), ('sp2', torch.zeros(1, 32, 8, 8))):
        border = net.conv(f'conv_out_{at}.conv_out', net.unit(f'conv_out_{at}.conv', x, 64, 3, 1, True), 1, 1)
        if at == 'sp8':
            outs.append(resized(border, image.shape[2:], align_corners=True))
    net.unit('cp.backbone.conv_last', s32, 1024, 1)
    net.norm('cp.backbone.bn', s32)
    net['cp.backbone.fc.weight'] = net['cp.backbone.linear.weight'] = torch.zeros(1024, 8)
    stages = dict(zip(('x2', 'x4', 'x8', 'x16', 'x32'), (range(1), range(1, 2), *_ranges(depths))))
    for stage, numbers in stages.items():
        for key in [key for key in net if key.startswith(name) and int(key.split('.')[3]) in numbers]:
            net[key.replace('features', f'{stage}.0')] = net[key]
    return outs


def _ranges(depths):
    start = 2
    for depth in depths:
        yield range(start, start + depth)
        start += depth


def torchseg(net, image, classes, backbone, main=64, auxiliary=256):
    def head(number, x, width):
        x = net.conv(f'heads.{number}.conv_1x1', net.unit(f'heads.{number}.conv_3x3', x, width), classes, 1, bias=True)
        return resized(x, image.shape[2:], align_corners=True)

    def arm(number, x):
        x = net.unit(f'arms.{number}.conv_3x3', x, 128)
        gate = f'arms.{number}.channel_attention.1'
        return x * net.norm(f'{gate}.bn', net.conv(f'{gate}.conv', pooled(x), 128, 1)).sigmoid()

    detail = net.unit('spatial_path.conv_7x7', image, 64, 7, 2)
    detail = net.unit('spatial_path.conv_3x3_2', net.unit('spatial_path.conv_3x3_1', detail, 64, 3, 2), 64, 3, 2)
    detail = net.unit('spatial_path.conv_1x1', detail, 128, 1)
    s8, s16, s32 = backbone(net, 'context_path', image)
    x = arm(0, s32) + net.unit('global_context.1', pooled(s32), 128, 1)
    c16 = net.unit('refines.0', resized(x, s16.shape[2:], align_corners=True), 128)
    c8 = net.unit('refines.1', resized(arm(1, s16) + c16, s8.shape[2:], align_corners=True), 128)
    x = net.unit('ffm.conv_1x1', torch.cat((detail, c8), 1), 256, 1)
    gate = F.relu(net.conv('ffm.channel_attention.1.conv', pooled(x), 256, 1))
    x = x + x * net.conv('ffm.channel_attention.2.conv', gate, 256, 1).sigmoid()
    return [head(2, x, main), head(1, c8, auxiliary), head(0, c16, auxiliary)]


def coincheung_v2(net, image, classes, plain_heads=False):
    detail = image
    for stage, (width, depth) in enumerate(((64, 2), (64, 3), (128, 3)), 1):
        for layer in range(depth):
            detail = net.unit(f'detail.S{stage}.{layer}', detail, width, 3, 1 if layer else 2)

    def expand(at, x, out, stride):
        wide = x.shape[1] * 6
        y = net.unit(f'{at}.conv1', x, x.shape[1])
        if stride == 1:
            y = F.relu(net.pair(f'{at}.dwconv', y, wide, groups=x.shape[1]))
        else:
            y = net.pair(f'{at}.dwconv1', y, wide, 3, 2, x.shape[1])
            y = F.relu(net.pair(f'{at}.dwconv2', y, wide, groups=wide))
        y = net.pair(f'{at}.conv2', y, out, 1)
        if stride == 2:
            x = net.pair(f'{at}.shortcut', x, x.shape[1], 3, 2, x.shape[1])
            x = net.pair(f'{at}.shortcut', x, out, 1, conv='2', norm='3')
        return F.relu(x + y)

    x = net.unit('segment.S1S2.conv', image, 16, 3, 2)
    left = net.unit('segment.S1S2.left.1', net.unit('segment.S1S2.left.0', x, 8, 1), 16, 3, 2)
    x = net.unit('segment.S1S2.fuse', torch.cat((left, F.max_pool2d(x, 3, 2, 1)), 1), 16)
    maps = [x]
    for name, width, depth in (('S3', 32, 2), ('S4', 64, 2), ('S5_4', 128, 4)):
        for layer in range(depth):
            x = expand(f'segment.{name}.{layer}', x, width, 1 if layer else 2)
        maps.append(x)
    context = net.unit('segment.S5_5.conv_gap', net.norm('segment.S5_5.bn', pooled(x)), 128, 1)
    semantic = net.unit('segment.S5_5.conv_last', x + context, 128)

    def keep(at, x):
        return net.conv(f'{at}.2', net.pair(at, x, 128, groups=128), 128, 1)

    large = keep('bga.left1', detail)
    small = F.avg_pool2d(net.pair('bga.left2', detail, 128, 3, 2), 3, 2, 1)
    gate = net.pair('bga.right1', semantic, 128).repeat_interleave(4, 2).repeat_interleave(4, 3).sigmoid()
    small = (small * keep('bga.right2', semantic).sigmoid()).repeat_interleave(4, 2).repeat_interleave(4, 3)
    x = F.relu(net.pair('bga.conv', large * gate + small, 128))

    x = net.unit('head.conv', x, 1024)
    outs = [net.conv('head.conv_out' if plain_heads else 'head.conv_out.1', x, classes, 1, bias=True)]
    for name, x in zip(('aux2', 'aux3', 'aux4', 'aux5_4'), maps):
        x = net.unit(f'{name}.conv', x, 128)
        if plain_heads:
            outs.append(net.conv(f'{name}.conv_out', x, classes, 1, bias=True))
        else:
            x = net.unit(f'{name}.conv_out.0.1', x, 16)
            net.conv(f'{name}.conv_out.1', x, classes, 1, bias=True)
    return [resized(out, image.shape[2:]) for out in outs]
