# TensorRT 10 or later, fp16, any height, width and batch.
_base_ = './segmentation_onnxruntime_dynamic.py'
backend_config = dict(
    type='tensorrt',
    common_config=dict(fp16_mode=True, int8_mode=False, max_workspace_size=1073741824),
    model_inputs=[dict(input_shapes=dict(input=dict(
        min_shape=[1, 3, 64, 64], opt_shape=[1, 3, 512, 1024], max_shape=[1, 3, 1024, 2048])))])
