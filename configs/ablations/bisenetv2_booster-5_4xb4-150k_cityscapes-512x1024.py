# Table 4, a booster on stage 5_4.
_base_ = './bisenetv2_bga-no-ohem_4xb4-150k_cityscapes-512x1024.py'
model = dict(auxiliary_head=dict(stage2=None, stage3=None, stage4=None))
