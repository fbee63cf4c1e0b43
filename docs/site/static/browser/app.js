// The page: where images come from, the overlay, and the legend. The network runs in worker.js.
const find = (name) => document.getElementById(`seg-${name}`);
const view = find('view'), context = view.getContext('2d');
const worker = new Worker(new URL('worker.js', import.meta.url), { type: 'module' });
let network, image, mask, camera, waiting;

worker.postMessage({ open: Object.fromEntries(new URLSearchParams(location.search)) });

worker.onmessage = ({ data }) => {
  if (data.error) return say(`This did not work: ${data.error}`);
  if (data.ready) {
    network = data.ready;
    const where = network.backend === 'webgpu' ? 'WebGPU' : `WebAssembly, ${network.threads} thread${network.threads > 1 ? 's' : ''}`;
    find('network').textContent = `${network.name}, ${network.precision === 'int8' ? 'INT8' : 'FP32'}, ${where}`;
    document.querySelectorAll('#seg button, #seg input').forEach((control) => { control.disabled = false; });
    return show(find('samples').querySelector('img').src);
  }
  waiting = false;
  mask = data;
  view.dataset.done = Number(view.dataset.done ?? 0) + 1; // for tests
  find('time').textContent = `${data.totalMs.toFixed(0)} ms a frame (${data.networkMs.toFixed(0)} ms of it the network), ` +
    `${data.width} x ${data.height} pixels`;
  draw();
  legend();
  if (camera) next();
};

const say = (text) => { find('time').textContent = text; };

// Segment what `source` shows: an ImageBitmap, or the camera's video.
async function segment(source) {
  if (waiting) return;
  waiting = true;
  image?.close?.();
  image = await createImageBitmap(source);
  const copy = await createImageBitmap(source);
  worker.postMessage({ image: copy }, [copy]);
}

async function show(source) {
  stop();
  say('Segmenting ...');
  try {
    await segment(await createImageBitmap(typeof source === 'string' ? await (await fetch(source)).blob() : source));
  } catch {
    say('Expected an image file that this browser can read.');
  }
}

function draw() {
  if (!mask) return;
  view.width = image.width;
  view.height = image.height;
  context.drawImage(image, 0, 0);
  const colours = new ImageData(mask.width, mask.height);
  mask.mask.forEach((id, i) => colours.data.set([...network.palette[id], 255], 4 * i));
  const layer = new OffscreenCanvas(mask.width, mask.height);
  layer.getContext('2d').putImageData(colours, 0, 0);
  context.globalAlpha = find('opacity').value / 100;
  context.imageSmoothingEnabled = false;
  context.drawImage(layer, 0, 0, view.width, view.height);
  context.globalAlpha = 1;
}

function legend() {
  const counts = new Array(network.classes.length).fill(0);
  mask.mask.forEach((id) => { counts[id] += 1; });
  const order = [...counts.keys()].filter((id) => counts[id]).sort((a, b) => counts[b] - counts[a]);
  find('legend').replaceChildren(...order.map((id) => {
    const item = document.createElement('li'), patch = document.createElement('span');
    patch.style.background = `rgb(${network.palette[id]})`;
    item.append(patch, `${network.classes[id]} ${(100 * counts[id] / mask.mask.length).toFixed(1)} %`);
    return item;
  }));
}

async function start() {
  try {
    camera = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } });
  } catch {
    return say('No camera, or no permission to use it.');
  }
  find('camera').textContent = 'Stop the camera';
  find('video').srcObject = camera;
  await find('video').play();
  next();
}

function stop() {
  camera?.getTracks().forEach((track) => track.stop());
  camera = undefined;
  find('camera').textContent = 'Camera';
}

const next = () => requestAnimationFrame(() => camera && segment(find('video')));

find('opacity').oninput = draw;
find('camera').onclick = () => (camera ? stop() : start());
find('file').onchange = ({ target }) => target.files[0] && show(target.files[0]);
find('samples').onclick = ({ target }) => network && target.src && show(target.src);
const stage = find('stage');
stage.ondragover = (event) => event.preventDefault();
stage.ondrop = (event) => {
  event.preventDefault();
  if (network && event.dataTransfer.files[0]) show(event.dataTransfer.files[0]);
};
