# ONNX Runtime, fp32, 1024 x 2048 (h x w); bytes in, class map out, the network at 512 x 1024.
_base_ = './segmentation_onnxruntime_static-512x1024.py'
onnx_config = dict(input_shape=[2048, 1024])
codebase_config = dict(self_contained=dict(channel_order='bgr', network_size=[512, 1024]))
