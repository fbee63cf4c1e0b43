# Table 2, BGA without boosters and OHEM: the base of Tables 2 and 3.
_base_ = '../bisenetv2/bisenetv2_bga_4xb4-150k_cityscapes-512x1024.py'
model = dict(
    decode_head=dict(loss_decode=dict(_delete_=True, type='CrossEntropyLoss', avg_non_ignore=True)),
    auxiliary_head=None)
