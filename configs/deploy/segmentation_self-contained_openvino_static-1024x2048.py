# OpenVINO, fp32, 1024 x 2048 (h x w); bytes in, class map out, the network at 512 x 1024.
custom_imports = dict(imports=['bisenet_plugins.deploy'], allow_failed_imports=False)
onnx_config = dict(
    type='onnx',
    export_params=True,
    keep_initializers_as_inputs=False,
    opset_version=17,
    save_file='end2end.onnx',
    input_names=['input'],
    output_names=['output'],
    input_shape=[2048, 1024],
    optimize=False,
    dynamic_axes=None)
codebase_config = dict(
    type='mmseg',
    task='Segmentation',
    model_type='end2end',
    with_argmax=True,
    module=['bisenet_plugins.deploy'],
    self_contained=dict(channel_order='bgr', network_size=[512, 1024]))
backend_config = dict(type='openvino', model_inputs=[dict(opt_shapes=dict(input=[1, 1024, 2048, 3]))])
