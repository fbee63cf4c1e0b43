# Table 4, boosters on stages 4 and 5_4.
_base_ = './bisenetv2_bga-no-ohem_4xb4-150k_cityscapes-512x1024.py'
model = dict(auxiliary_head=dict(stage2=None, stage3=None))
