# TensorRT 10 or later, fp16, 512 x 1024 (h x w).
_base_ = './segmentation_onnxruntime_static-512x1024.py'
shape = [1, 3, 512, 1024]
backend_config = dict(
    type='tensorrt',
    common_config=dict(fp16_mode=True, int8_mode=False, max_workspace_size=1073741824),
    model_inputs=[dict(input_shapes=dict(input=dict(min_shape=shape, opt_shape=shape, max_shape=shape)))])
del shape
