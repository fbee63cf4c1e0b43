# Second stage after bisenetv2_bga_1xb8-cpu-1.5k_camvid-192x256: larger crops, rare classes weighted up, averaged
# weights.
# Two processes of one thread and four crops each do more than one of two threads and eight crops:
# torchrun --nproc_per_node=2 tools/train.py CONFIG --launcher pytorch --cfg-options load_from=CHECKPOINT_OF_STAGE_1
_base_ = [
    '../_base_/models/bisenetv2.py', '../_base_/datasets/camvid_240x320.py', '../_base_/schedules/v2_2400.py',
    '../_base_/default_runtime.py'
]
# Sky, Building, Pole, Road, Pavement, Tree, SignSymbol, Fence, Car, Pedestrian, Bicyclist: near the inverse square root
# of each class's share of the training pixels.
class_weight = [0.6, 0.5, 2.0, 0.5, 0.9, 0.7, 1.8, 1.6, 1.0, 2.0, 1.8]
model = dict(
    norm_cfg=dict(type='BN'),
    num_classes=11,
    data_preprocessor=dict(size=(240, 320)),
    decode_head=dict(loss_decode=dict(class_weight=class_weight)),
    auxiliary_head=dict(
        stage2=dict(loss_decode=dict(class_weight=class_weight)),
        stage3=dict(loss_decode=dict(class_weight=class_weight)),
        stage4=dict(loss_decode=dict(class_weight=class_weight)),
        stage5=dict(loss_decode=dict(class_weight=class_weight))))
train_dataloader = dict(batch_size=4, num_workers=1)
env_cfg = dict(dist_cfg=dict(backend='gloo'))
custom_hooks = [dict(type='EMAHook', momentum=0.002)]
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=100))
