# STDC2-Seg on COCO-Stuff 10k.
_base_ = './stdc1_seg_4xb4-20k_coco-stuff10k-640x640.py'
model = dict(backbone=dict(semantic_branch=dict(backbone=dict(arch='stdc2'))))
