# TensorRT 10 or later, int8, 512 x 1024 (h x w).
custom_imports = dict(imports=['bisenet_plugins.deploy'], allow_failed_imports=False)
onnx_config = dict(
    type='onnx',
    export_params=True,
    keep_initializers_as_inputs=False,
    opset_version=17,
    save_file='end2end.onnx',
    input_names=['input'],
    output_names=['output'],
    input_shape=[1024, 512],
    optimize=False,
    dynamic_axes=None)
codebase_config = dict(
    type='mmseg',
    task='Segmentation',
    model_type='end2end',
    with_argmax=True,
    module=['bisenet_plugins.deploy'])
backend_config = dict(
    type='tensorrt',
    common_config=dict(fp16_mode=False, int8_mode=True, max_workspace_size=1073741824),
    model_inputs=[dict(
        input_shapes=dict(
            input=dict(
                min_shape=[1, 3, 512, 1024],
                opt_shape=[1, 3, 512, 1024],
                max_shape=[1, 3, 512, 1024])))])
