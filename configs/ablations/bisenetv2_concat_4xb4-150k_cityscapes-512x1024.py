# Table 2, the two maps stacked.
_base_ = './bisenetv2_bga-no-booster_4xb4-150k_cityscapes-512x1024.py'
model = dict(decode_head=dict(aggregation=dict(type='ConcatAggregation')))
