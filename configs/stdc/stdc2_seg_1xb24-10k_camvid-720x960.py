# STDC2-Seg on CamVid.
_base_ = './stdc1_seg_1xb24-10k_camvid-720x960.py'
model = dict(backbone=dict(semantic_branch=dict(backbone=dict(arch='stdc2'))))
