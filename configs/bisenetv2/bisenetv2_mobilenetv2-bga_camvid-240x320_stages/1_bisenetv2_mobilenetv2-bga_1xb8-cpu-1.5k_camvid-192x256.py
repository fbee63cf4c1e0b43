# First of three stages: the CPU recipe for CamVid with MobileNetV2 as semantic branch (Table 6).
_base_ = '../bisenetv2_bga_camvid-240x320_stages/1_bisenetv2_bga_1xb8-cpu-1.5k_camvid-192x256.py'
model = dict(backbone=dict(semantic_branch=dict(_delete_=True, type='MobileNetV2')))
