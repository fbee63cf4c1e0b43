// From an image to the network's input, and from its logits to the mask; the same arithmetic as the package's own.
// Letters: H and W the sides of an image, h and w those of a map, in pixels; K classes.

// Height and width at which the network sees an image: inside the box, at the image's own ratio.
export function networkSize(height, width, box) {
  const factor = Math.min(Math.max(...box) / Math.max(height, width), Math.min(...box) / Math.min(height, width));
  return [Math.max(32, Math.round(height * factor)), Math.max(32, Math.round(width * factor))];
}

// RGBA bytes (H, W, 4) -> normalised floats (3, H, W), through a table of 256 entries a channel.
export function normalise(rgba, { mean, std, to_rgb: rgb }) {
  const pixels = rgba.length / 4, out = new Float32Array(3 * pixels), table = new Float32Array(256);
  for (let channel = 0; channel < 3; channel++) {
    for (let value = 0; value < 256; value++) {
      table[value] = mean.length ? (value - mean[channel]) / std[channel] : value;
    }
    const from = rgb ? channel : 2 - channel, base = channel * pixels;
    for (let i = 0; i < pixels; i++) out[base + i] = table[rgba[4 * i + from]];
  }
  return out;
}

// Where output pixel i of `out` takes its two samples of `size` from, and the second one's weight.
function samples(out, size, alignCorners) {
  const first = new Int32Array(out), second = new Int32Array(out), weight = new Float32Array(out);
  for (let i = 0; i < out; i++) {
    const place = alignCorners ? i * (size - 1) / Math.max(out - 1, 1) : Math.max((i + 0.5) * size / out - 0.5, 0);
    first[i] = Math.min(Math.floor(place), size - 1);
    second[i] = Math.min(first[i] + 1, size - 1);
    weight[i] = place - first[i];
  }
  return { first, second, weight };
}

// Logits (K, h, w) -> classes (H, W): bilinear upsampling and argmax, one row at a time, never all of it in memory.
export function upsampleArgmax(logits, [classes, h, w], [height, width], alignCorners) {
  const rows = samples(height, h, alignCorners), columns = samples(width, w, alignCorners);
  const mask = new Uint8Array(height * width), line = new Float32Array(w), best = new Float32Array(width);
  for (let y = 0; y < height; y++) {
    const out = mask.subarray(y * width, (y + 1) * width), down = rows.weight[y];
    for (let k = 0; k < classes; k++) {
      const top = k * h * w + rows.first[y] * w, bottom = k * h * w + rows.second[y] * w;
      for (let x = 0; x < w; x++) line[x] = logits[top + x] + (logits[bottom + x] - logits[top + x]) * down;
      for (let x = 0; x < width; x++) {
        const left = line[columns.first[x]];
        const score = left + (line[columns.second[x]] - left) * columns.weight[x];
        if (k === 0 || score > best[x]) {
          best[x] = score;
          out[x] = k;
        }
      }
    }
  }
  return mask;
}
