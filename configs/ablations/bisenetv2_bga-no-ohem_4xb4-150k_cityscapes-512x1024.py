# Table 2, BGA and boosters without OHEM: plain cross entropy in every head.
_base_ = '../bisenetv2/bisenetv2_bga_4xb4-150k_cityscapes-512x1024.py'
loss = dict(_delete_=True, type='CrossEntropyLoss', avg_non_ignore=True)
model = dict(
    decode_head=dict(loss_decode=loss),
    auxiliary_head=dict(
        stage2=dict(loss_decode=loss),
        stage3=dict(loss_decode=loss),
        stage4=dict(loss_decode=loss),
        stage5=dict(loss_decode=loss)))
del loss
