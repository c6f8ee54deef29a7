// Recognise a product in a photo, in the browser, without dependencies.
//
//   import { load } from './predict.js';
//   const model = await load('https://shop.example/ml-models/current.json');
//   const { products, milliseconds } = await model.predict(file);   // a File, Blob, <img>, <canvas> or ImageBitmap
//   products[0]                                                     // { product: 'ring-12', probability: 0.97 }
//
// Loads the output of `python -m ml.export`: model.json (the operations and the preprocessing contract) and a weights
// file. Photos never leave the browser.

const FORMAT = 'orchestrator-layers/1';

/** Load a model from the URL of model.json, or of current.json, which points to it. Throws if it is incomplete. */
export async function load(address) {
  const started = performance.now();
  let url = new URL(address, location.href);
  let document = await fetchJson(url, 'no-cache');
  if (document.model) {
    const root = new URL(url.pathname.slice(0, url.pathname.indexOf('ml-models/')), url);
    url = new URL(document.model, root);
    document = await fetchJson(url);
  }
  if (document.format !== FORMAT) throw new Error(`${url} has the unsupported format ${document.format}; expected ${FORMAT}`);
  const response = await fetch(new URL(document.weights.file, url));
  if (!response.ok) throw new Error(`${response.url}: HTTP ${response.status}`);
  const bytes = await response.arrayBuffer();
  if (bytes.byteLength !== document.weights.bytes) throw new Error(`${response.url} is incomplete`);
  const weights = document.weights.type === 'f2' ? decodeFloat16(new Uint16Array(bytes)) : new Float32Array(bytes);
  const model = new Model(document, weights);
  model.loadMilliseconds = performance.now() - started;
  return model;
}

async function fetchJson(url, cache = 'default') {
  const response = await fetch(url, { cache });
  if (!response.ok) throw new Error(`${url}: HTTP ${response.status}`);
  return response.json();
}

class Model {
  constructor(document, weights) {
    this.document = document;
    this.classes = document.preprocessing.classes;
    this.contract = checkContract(document.preprocessing);
    this.runNetwork = buildNetwork(document, weights);
    this.findSparseProduct = buildPrototypeSearch(document.nearest, weights);
  }

  /** Predict the most likely products of a photo, best first, with timings. */
  async predict(photo, { top = 3 } = {}) {
    const started = performance.now();
    const input = await this.prepare(photo);
    const prepared = performance.now();
    const { probabilities, embedding } = this.run(input);
    const products = this.classes.map((product, index) => ({ product, probability: probabilities[index] }));
    products.sort((a, b) => b.probability - a.probability);
    const sparseProduct = embedding && this.findSparseProduct(embedding);
    if (sparseProduct) products.unshift(sparseProduct);
    const finished = performance.now();
    return {
      products: products.slice(0, top), probabilities, embedding,
      milliseconds: { prepare: prepared - started, predict: finished - prepared, total: finished - started },
    };
  }

  /** Return a photo as network input: size x size x 3 values from 0 to 255. */
  async prepare(photo) {
    const { pixels, width, height } = await decodePhoto(photo, this.contract);
    return resizePhoto(pixels, width, height, this.contract);
  }

  /** Run the network on size x size x 3 values from 0 to 255; returns output arrays by name. */
  run(input) {
    return this.runNetwork(input);
  }
}

// -- The photo ---------------------------------------------------------------------------------------------------

/** Check that this file supports every part of the contract: other preprocessing would give wrong predictions. */
function checkContract(contract) {
  const supported = {
    orientation: ['exif'], transparent: ['white'], fit: ['centre-crop', 'stretch'], resize: ['triangle'],
    channels: ['RGB', 'BGR'],
  };
  for (const [name, values] of Object.entries(supported)) {
    if (!values.includes(contract[name])) throw new Error(`unsupported ${name} ${contract[name]}: update predict.js`);
  }
  return contract;
}

/** Decode a photo to RGBA bytes, rotated, cropped, on a white background. */
async function decodePhoto(photo, contract) {
  const options = { imageOrientation: 'from-image', colorSpaceConversion: 'none', premultiplyAlpha: 'none' };
  const bitmap = photo instanceof ImageBitmap ? photo : await createImageBitmap(photo, options);
  const { width, height } = bitmap;
  const side = contract.fit === 'centre-crop' ? Math.min(width, height) : 0;
  const [cropWidth, cropHeight] = side ? [side, side] : [width, height];
  const canvas = new OffscreenCanvas(cropWidth, cropHeight);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.fillStyle = 'white';
  context.fillRect(0, 0, cropWidth, cropHeight);
  context.drawImage(bitmap, -Math.floor((width - cropWidth) / 2), -Math.floor((height - cropHeight) / 2));
  if (bitmap !== photo) bitmap.close();
  return { pixels: context.getImageData(0, 0, cropWidth, cropHeight).data, width: cropWidth, height: cropHeight };
}

/** Resize a photo to the model's size, bit-identical to Pillow's BILINEAR: a triangle filter as wide as the scale. */
export function resizePhoto(pixels, width, height, { size, channels }) {
  const horizontal = coefficients(width, size), vertical = coefficients(height, size);
  const rows = new Uint8ClampedArray(size * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < size; x++) {
      const { first, values } = horizontal[x];
      let r = 1 << 21, g = 1 << 21, b = 1 << 21;
      for (let k = 0, at = (y * width + first) * 4; k < values.length; k++, at += 4) {
        r += pixels[at] * values[k]; g += pixels[at + 1] * values[k]; b += pixels[at + 2] * values[k];
      }
      const to = (y * size + x) * 3;
      rows[to] = r >> 22; rows[to + 1] = g >> 22; rows[to + 2] = b >> 22;
    }
  }
  const resized = new Float32Array(size * size * 3), stride = size * 3;
  for (let y = 0; y < size; y++) {
    const { first, values } = vertical[y];
    for (let x = 0; x < stride; x++) {
      let sum = 1 << 21;
      for (let k = 0, at = first * stride + x; k < values.length; k++, at += stride) sum += rows[at] * values[k];
      resized[y * stride + x] = Math.min(255, Math.max(0, sum >> 22));
    }
  }
  if (channels === 'BGR') for (let i = 0; i < resized.length; i += 3) [resized[i], resized[i + 2]] = [resized[i + 2], resized[i]];
  return resized;
}

/** Filter coefficients for resizing `from` to `to` pixels: for each output pixel the first input pixel and 22-bit weights. */
function coefficients(from, to) {
  const scale = from / to, support = Math.max(scale, 1), inverseSupport = 1 / support;
  return Array.from({ length: to }, (_, position) => {
    const centre = (position + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const last = Math.min(from, Math.trunc(centre + support + 0.5));
    const weights = [];
    for (let at = first; at < last; at++) weights.push(Math.max(0, 1 - Math.abs((at - centre + 0.5) * inverseSupport)));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return { first, values: Int32Array.from(weights, weight => Math.trunc(0.5 + (weight / sum) * (1 << 22))) };
  });
}

// -- The network -------------------------------------------------------------------------------------------------

/** Return a function from input to outputs; its buffers are allocated once and reused for every photo. */
function buildNetwork(document, allWeights) {
  const slotLengths = [];
  for (const op of document.ops) slotLengths[op.out] = Math.max(slotLengths[op.out] ?? 0, volume(op.shape));
  const unrolled = document.ops.filter(op => op.kind === 'conv' && !isPointwise(op));
  const scratch = Math.max(0, ...unrolled.map(op => op.shape[0] * op.shape[1] * op.kernel[0] * op.kernel[1] * op.from[2]));
  const slots = slotLengths.map(length => new Float32Array(length));
  const buffers = { slots, allWeights, scratch: new Float32Array(scratch) };
  const steps = document.ops.map(op => buildStep(op, buffers));
  const opsByName = Object.fromEntries(document.ops.map(op => [op.name, op]));
  return input => {
    slots[document.ops[0].out].set(input);
    for (const run of steps) run();
    return Object.fromEntries(Object.entries(document.outputs).map(([name, from]) => {
      const op = opsByName[from];
      return [name, slots[op.out].slice(0, volume(op.shape))];
    }));
  };
}

/** Return a function that finds a product with few photos by its prototype, if that is nearest and near enough, or null. */
function buildPrototypeSearch(nearest, allWeights) {
  if (!nearest) return () => null;
  const [start, [count, length]] = nearest.vectors;
  return embedding => {
    const size = Math.hypot(...embedding);
    let best = -1, maxCosine = -Infinity;
    for (let index = 0, at = start; index < count; index++) {
      let cosine = 0;
      for (let i = 0; i < length; i++) cosine += embedding[i] * allWeights[at++];
      if (cosine > maxCosine) [best, maxCosine] = [index, cosine];
    }
    const similarity = maxCosine / size;
    if (nearest.trained[best] || similarity < nearest.threshold) return null;
    return { product: nearest.products[best], probability: similarity };
  };
}

const volume = shape => shape.reduce((product, length) => product * length, 1);
const isPointwise = op => op.kernel[0] === 1 && op.kernel[1] === 1 && op.stride[0] === 1 && op.stride[1] === 1;

/** Return a function that runs one operation. */
function buildStep(op, { slots, allWeights, scratch }) {
  const [a, b] = op.in.map(slot => slots[slot]), out = slots[op.out], size = volume(op.shape);
  const tensor = name => (op[name] ? allWeights.subarray(op[name][0], op[name][0] + volume(op[name][1])) : null);
  const weights = tensor('weights'), bias = tensor('bias'), channels = op.shape[op.shape.length - 1];
  const low = 'most' in op ? 0 : -Infinity, high = op.most ?? Infinity;
  const clip = () => {
    if (low === 0) for (let i = 0; i < size; i++) out[i] = Math.min(high, Math.max(0, out[i]));
  };
  switch (op.kind) {
    case 'input': return () => {};
    case 'conv': {
      const positions = op.shape[0] * op.shape[1], depth = weights.length / channels;
      if (isPointwise(op)) return () => matmul(a, weights, bias, out, positions, depth, channels, low, high);
      return () => {
        unroll(op, a, scratch);
        matmul(scratch, weights, bias, out, positions, depth, channels, low, high);
      };
    }
    case 'dense': return () => matmul(a, weights, bias, out, 1, weights.length / channels, channels, low, high);
    case 'depthwise': return () => depthwise(op, a, weights, bias, out, low, high);
    case 'affine': return () => {
      for (let i = 0, c = 0; i < size; i++) {
        out[i] = a[i] * weights[c] + bias[c];
        if (++c === channels) c = 0;
      }
      clip();
    };
    case 'relu': return () => { out.set(a.subarray(0, size)); clip(); };
    case 'add': return () => { for (let i = 0; i < size; i++) out[i] = a[i] + b[i]; clip(); };
    case 'pad': return () => unroll({ ...op, kernel: [1, 1], stride: [1, 1] }, a, out);
    case 'average': return () => {
      const sums = new Float64Array(size), count = op.from[0] * op.from[1];
      for (let i = 0, at = 0; i < count; i++) for (let c = 0; c < size; c++) sums[c] += a[at++];
      for (let c = 0; c < size; c++) out[c] = sums[c] / count;
    };
    case 'softmax': return () => {
      const logits = a.subarray(0, size), maxLogit = logits.reduce((x, y) => Math.max(x, y));
      const exponentials = Float64Array.from(logits, x => Math.exp(x - maxLogit)), sum = exponentials.reduce((x, y) => x + y);
      for (let i = 0; i < size; i++) out[i] = exponentials[i] / sum;
    };
    case 'unit': return () => {
      let squares = 0;
      for (let i = 0; i < size; i++) squares += a[i] * a[i];
      const factor = 1 / Math.sqrt(Math.max(squares, 1e-12));
      for (let i = 0; i < size; i++) out[i] = a[i] * factor;
    };
    default: throw new Error(`unsupported operation ${op.kind}: update predict.js`);
  }
}

/** im2col: copy the input window of each position into a row, so that a matrix product is the convolution. */
function unroll({ kernel, stride, pad, shape, from }, input, rows) {
  const [height, width, channels] = from;
  let to = 0;
  for (let y = 0; y < shape[0]; y++) for (let x = 0; x < shape[1]; x++) {
    for (let i = 0; i < kernel[0]; i++) for (let j = 0; j < kernel[1]; j++) {
      const row = y * stride[0] + i - pad[0], column = x * stride[1] + j - pad[2];
      if (row < 0 || row >= height || column < 0 || column >= width) rows.fill(0, to, to + channels);
      else {
        const at = (row * width + column) * channels;
        for (let c = 0; c < channels; c++) rows[to + c] = input[at + c];
      }
      to += channels;
    }
  }
}

/** Depthwise convolution: each channel has its own kernel. */
function depthwise({ kernel, stride, pad, shape, from }, input, weights, bias, out, low, high) {
  const [height, width, channels] = from, sums = new Float64Array(channels);
  for (let y = 0, to = 0; y < shape[0]; y++) for (let x = 0; x < shape[1]; x++, to += channels) {
    sums.set(bias);
    for (let i = 0; i < kernel[0]; i++) {
      const row = y * stride[0] + i - pad[0];
      if (row < 0 || row >= height) continue;
      for (let j = 0; j < kernel[1]; j++) {
        const column = x * stride[1] + j - pad[2];
        if (column < 0 || column >= width) continue;
        const at = (row * width + column) * channels, tap = (i * kernel[1] + j) * channels;
        for (let c = 0; c < channels; c++) sums[c] += input[at + c] * weights[tap + c];
      }
    }
    for (let c = 0; c < channels; c++) out[to + c] = Math.min(high, Math.max(low, sums[c]));
  }
}

/** out[p][o] = clip(bias[o] + sum over k of a[p][k] * weights[k][o]), with k unrolled by four. */
function matmul(a, weights, bias, out, positions, depth, channels, low, high) {
  const sums = new Float64Array(channels);
  for (let p = 0; p < positions; p++) {
    sums.set(bias);
    let k = 0;
    for (let at = p * depth; k + 3 < depth; k += 4, at += 4) {
      const a0 = a[at], a1 = a[at + 1], a2 = a[at + 2], a3 = a[at + 3];
      let w0 = k * channels, w1 = w0 + channels, w2 = w1 + channels, w3 = w2 + channels;
      for (let o = 0; o < channels; o++) {
        sums[o] += a0 * weights[w0++] + a1 * weights[w1++] + a2 * weights[w2++] + a3 * weights[w3++];
      }
    }
    for (; k < depth; k++) {
      const a0 = a[p * depth + k], w0 = k * channels;
      for (let o = 0; o < channels; o++) sums[o] += a0 * weights[w0 + o];
    }
    for (let o = 0, to = p * channels; o < channels; o++) out[to + o] = Math.min(high, Math.max(low, sums[o]));
  }
}

/** Convert IEEE 754 half precision to float32. */
function decodeFloat16(halves) {
  const floats = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) {
    const h = halves[i], exponent = (h >> 10) & 31, fraction = h & 1023;
    const size = exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24;
    floats[i] = h >> 15 ? -size : size;
  }
  return floats;
}
