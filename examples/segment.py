"""Segment an image with an exported graph alone: ``python segment.py end2end.onnx photo.jpg mask.png``.

The graph: ``bisenet export bisenetv2-camvid --self-contained rgb --out DIR`` (or ``bgr``).
Needs numpy, onnxruntime and Pillow.
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

graph, photo, target = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.add_session_config_entry('session.x64quantprecision', '1')  # for INT8 without VNNI; leave it out with VNNI
session = onnxruntime.InferenceSession(graph, options, providers=['CPUExecutionProvider'])
about = session.get_modelmeta().custom_metadata_map  # classes, palette, channel_order, layout, mean, std, ...
image = ImageOps.exif_transpose(Image.open(photo)).convert('RGB')
pixels = np.asarray(image)[..., ::1 if about['channel_order'] == 'rgb' else -1]
mask, = session.run(None, {session.get_inputs()[0].name: np.ascontiguousarray(pixels[None])})
colours = Image.fromarray(mask[0])
colours.putpalette(np.asarray(json.loads(about['palette']), np.uint8).tobytes())
colours.save(target)
for number, name in enumerate(json.loads(about['classes'])):
    print(f'{name}: {100 * (mask == number).mean():.1f} %')
