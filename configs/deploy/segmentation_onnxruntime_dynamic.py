# ONNX Runtime, fp32, any height, width and batch. Every other deploy config begins here.
custom_imports = dict(imports=['bisenet_plugins.deploy.mmdeploy'], allow_failed_imports=False)
onnx_config = dict(
    type='onnx',
    export_params=True,
    keep_initializers_as_inputs=False,
    opset_version=17,
    save_file='end2end.onnx',
    input_names=['input'],
    output_names=['output'],
    input_shape=None,
    optimize=False,
    dynamic_axes=dict(input={0: 'batch', 2: 'height', 3: 'width'}, output={0: 'batch', 2: 'height', 3: 'width'}))
codebase_config = dict(
    type='mmseg',
    task='Segmentation',
    model_type='end2end',
    with_argmax=True,
    module=['bisenet_plugins.deploy.mmdeploy'])
backend_config = dict(type='onnxruntime')
