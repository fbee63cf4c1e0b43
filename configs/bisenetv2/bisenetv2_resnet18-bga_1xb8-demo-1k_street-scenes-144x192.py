# BiSeNet V2 with ResNet-18 as semantic branch (Table 6).
_base_ = './bisenetv2_bga_1xb8-demo-1k_street-scenes-144x192.py'
model = dict(backbone=dict(semantic_branch=dict(_delete_=True, type='ResNetV1c', depth=18)))
