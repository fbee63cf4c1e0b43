# OpenVINO, int8, 512 x 1024 (h x w).
_base_ = './segmentation_openvino_static-512x1024.py'
backend_config = dict(precision='int8')
