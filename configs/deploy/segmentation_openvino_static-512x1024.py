# OpenVINO, fp32, 512 x 1024 (h x w).
_base_ = './segmentation_onnxruntime_static-512x1024.py'
backend_config = dict(type='openvino', model_inputs=[dict(opt_shapes=dict(input=[1, 3, 512, 1024]))])
