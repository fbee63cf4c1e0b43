# STDC2-Seg75 on Cityscapes.
_base_ = './stdc1_seg75_3xb16-60k_cityscapes-512x1024.py'
model = dict(backbone=dict(semantic_branch=dict(backbone=dict(arch='stdc2'))))
