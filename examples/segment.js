// Segment an image with an exported graph alone: node segment.js end2end.onnx photo.png mask.png
// The graph: bisenet export bisenetv2-camvid --self-contained rgb --out DIR
// Needs: npm install onnxruntime-web pngjs (onnxruntime-node is the same code with another name in require)
const fs = require('fs');
const ort = require('onnxruntime-web');
const { PNG } = require('pngjs');

async function main([graph, photo, target]) {
  ort.env.logLevel = 'error';
  const session = await ort.InferenceSession.create(fs.readFileSync(graph));
  const { width, height, data } = PNG.sync.read(fs.readFileSync(photo)); // RGBA
  const pixels = new Uint8Array(width * height * 3).map((_, i) => data[4 * Math.floor(i / 3) + i % 3]);
  const input = new ort.Tensor('uint8', pixels, [1, height, width, 3]);
  const mask = (await session.run({ [session.inputNames[0]]: input }))[session.outputNames[0]].data;
  const image = new PNG({ width, height, colorType: 0 }); // the class of each pixel as its grey value
  mask.forEach((number, i) => image.data.set([number, number, number, 255], 4 * i));
  fs.writeFileSync(target, PNG.sync.write(image, { colorType: 0 }));
  const counts = {};
  for (const number of mask) counts[number] = (counts[number] || 0) + 1;
  console.log(JSON.stringify(counts));
}

main(process.argv.slice(2)).catch((error) => { console.error(error); process.exit(1); });
