"""Ask a server of the KServe V2 protocol (Triton) for a mask: ``python kserve_client.py URL MODEL photo.jpg mask.png``.

The model: ``bisenet export bisenetv2-camvid --self-contained rgb --triton REPO --out DIR``. Needs numpy and Pillow.
"""

import json
import sys
import urllib.request

import numpy as np
from PIL import Image, ImageOps

url, model, photo, target = sys.argv[1:]
pixels = np.asarray(ImageOps.exif_transpose(Image.open(photo)).convert('RGB'))[None]
head = json.dumps({
    'inputs': [{'name': 'input', 'shape': pixels.shape, 'datatype': 'UINT8',
                'parameters': {'binary_data_size': pixels.nbytes}}],
    'outputs': [{'name': 'output', 'parameters': {'binary_data': True}}]}).encode()
request = urllib.request.Request(f'{url}/v2/models/{model}/infer', head + pixels.tobytes(), {
    'Content-Type': 'application/octet-stream', 'Inference-Header-Content-Length': str(len(head))})
with urllib.request.urlopen(request, timeout=60) as response:
    length = int(response.headers['Inference-Header-Content-Length'])
    output = json.loads(response.read(length))['outputs'][0]
    mask = np.frombuffer(response.read(), np.uint8).reshape(output['shape'])
Image.fromarray(mask[0]).save(target)
print(f'{output["name"]}: {mask.shape}, classes {np.unique(mask).tolist()}')
