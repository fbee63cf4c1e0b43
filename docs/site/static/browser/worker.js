// The network, away from the page's own thread. Messages in: {open: {backend, precision}} once, then {image: ImageBitmap}.
// Messages out: {ready: {...}}, {mask, height, width, networkMs, totalMs}, or {error: text}.
import { networkSize, normalise, upsampleArgmax } from './mask.js';

let ort, session, info;

async function open({ backend: wanted, precision: chosen }) {
  info = await (await fetch(new URL('network.json', import.meta.url))).json();
  const adapter = wanted !== 'wasm' && navigator.gpu ? await navigator.gpu.requestAdapter() : null;
  const backend = adapter ? 'webgpu' : 'wasm';
  if (wanted && wanted !== backend) throw new Error(`${wanted} is not available in this browser`);
  ort = await import(`./ort/ort.${backend}.min.mjs`);
  ort.env.wasm.wasmPaths = new URL('ort/', import.meta.url).href;
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency) : 1;
  ort.env.logLevel = 'error';
  const precision = chosen ?? (backend === 'webgpu' ? 'fp32' : 'int8'); // a GPU has no faster path for INT8
  if (!(precision in info.graphs)) throw new Error(`expected precision fp32 or int8, got ${precision}`);
  const graph = await fetch(new URL(info.graphs[precision], import.meta.url));
  if (!graph.ok) throw new Error(`the network could not be loaded (${graph.status})`);
  session = await ort.InferenceSession.create(new Uint8Array(await graph.arrayBuffer()),
    { executionProviders: [backend], graphOptimizationLevel: 'all', logSeverityLevel: 3 });
  return { backend, precision, threads: ort.env.wasm.numThreads, ...info };
}

async function segment(image) {
  const started = performance.now();
  const { scale, size } = info.preprocess;
  const [height, width] = networkSize(image.height, image.width, size ?? scale ?? [360, 480]);
  const canvas = new OffscreenCanvas(width, height), context = canvas.getContext('2d', { willReadFrequently: true });
  context.imageSmoothingQuality = 'high';
  context.drawImage(image, 0, 0, width, height);
  image.close();
  const floats = normalise(context.getImageData(0, 0, width, height).data, info.preprocess);
  const input = new ort.Tensor('float32', floats, [1, 3, height, width]);
  const before = performance.now();
  const output = (await session.run({ [session.inputNames[0]]: input }))[session.outputNames[0]];
  const logits = await output.getData();
  const networkMs = performance.now() - before;
  const mask = upsampleArgmax(logits, output.dims.slice(1), [height, width], info.align_corners);
  output.dispose();
  return { mask, height, width, networkMs, totalMs: performance.now() - started };
}

self.onmessage = async ({ data }) => {
  try {
    if ('open' in data) self.postMessage({ ready: await open(data.open) });
    else {
      const result = await segment(data.image);
      self.postMessage(result, [result.mask.buffer]);
    }
  } catch (error) {
    self.postMessage({ error: error.message });
  }
};
