# OpenVINO, fp32, any height, width and batch.
_base_ = './segmentation_onnxruntime_dynamic.py'
backend_config = dict(type='openvino', model_inputs=[dict(opt_shapes=dict(input=[1, 3, 512, 1024]))])
