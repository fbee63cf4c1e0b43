# Table 6, ShuffleNetV2 1.5x as semantic branch; needs mmpretrain, which setup.cfg offers as an extra.
_base_ = '../bisenetv2/bisenetv2_bga_4xb4-150k_cityscapes-512x1024.py'
custom_imports = dict(imports=['bisenet_plugins', 'mmpretrain.models'], allow_failed_imports=True)
model = dict(
    backbone=dict(
        semantic_branch=dict(
            _delete_=True, type='mmpretrain.ShuffleNetV2', widen_factor=1.5, out_indices=(0, 1, 2))),
    auxiliary_head=dict(stage2=None, stage3=dict(in_index=1), stage4=dict(in_index=2), stage5=dict(in_index=3)))
