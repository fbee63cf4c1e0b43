# STDC2-Seg50 on Cityscapes.
_base_ = './stdc1_seg50_3xb16-60k_cityscapes-512x1024.py'
model = dict(backbone=dict(semantic_branch=dict(backbone=dict(arch='stdc2'))))
