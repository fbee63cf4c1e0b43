# BiSeNet V1 with ResNet-18 on CamVid.
_base_ = [
    '../_base_/models/bisenetv1_r18.py', '../_base_/datasets/camvid_720x960.py', '../_base_/schedules/v1_10k.py',
    '../_base_/default_runtime.py'
]
train_dataloader = dict(batch_size=16)
model = dict(num_classes=11, data_preprocessor=dict(size=(720, 960)))
