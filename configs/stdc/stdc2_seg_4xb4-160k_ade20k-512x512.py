# STDC2-Seg on ADE20K.
_base_ = './stdc1_seg_4xb4-160k_ade20k-512x512.py'
model = dict(backbone=dict(semantic_branch=dict(backbone=dict(arch='stdc2'))))
