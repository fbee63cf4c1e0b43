# STDC2-Seg on COCO-Stuff 164k.
_base_ = './stdc1_seg_4xb4-160k_coco-stuff164k-512x512.py'
model = dict(backbone=dict(semantic_branch=dict(backbone=dict(arch='stdc2'))))
