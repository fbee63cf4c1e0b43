# ONNX Runtime, fp32, 512 x 1024 (h x w).
_base_ = './segmentation_onnxruntime_dynamic.py'
onnx_config = dict(input_shape=[1024, 512], dynamic_axes=None)
