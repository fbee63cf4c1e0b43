# BiSeNet V2 as the public re-implementations have it: the depthwise convolution expands, a third of the FLOPs. Its
# layers are those of mmseg's BiSeNetV2; tools/model_converters/convert_weights.py converts such checkpoints to it.
_base_ = './bisenetv2_bga_4xb4-150k_cityscapes-512x1024.py'
model = dict(
    backbone=dict(semantic_branch=dict(expansion='depthwise')),
    decode_head=dict(channels=1024, aggregation=dict(out_act=True, pointwise_bias=True)))
