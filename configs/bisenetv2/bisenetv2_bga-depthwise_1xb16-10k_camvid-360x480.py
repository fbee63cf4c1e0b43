# BiSeNet V2 on CamVid with the depthwise convolution expanding: a third of the semantic branch's FLOPs.
_base_ = './bisenetv2_bga_1xb16-10k_camvid-360x480.py'
model = dict(backbone=dict(semantic_branch=dict(expansion='depthwise')))
