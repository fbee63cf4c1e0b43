# TensorRT for RTX, built ahead of time, fp16, 512 x 1024 (h x w).
_base_ = './segmentation_tensorrt-fp16_static-512x1024.py'
backend_config = dict(type='tensorrt_rtx', common_config=dict(compute_capabilities=['8.6', '8.9']))
