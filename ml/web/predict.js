// Recognises a product from a photo, in the browser, without any library.
//
//   import { load } from './predict.js';
//   const model = await load('https://shop.example/ml-models/current.json');
//   const { products, milliseconds } = await model.predict(file);   // a File, Blob, <img>, <canvas> or ImageBitmap
//   products[0]                                                     // { product: 'ring-12', probability: 0.97 }
//
// What it loads is written by `python -m ml.export`: model.json (the operations, and how a photo is prepared) and one
// file of weights. Photos never leave the page.

const FORMAT = 'orchestrator-layers/1';

/** Load a model: the address of model.json, or of current.json, which names it. Throws when it is not whole. */
export async function load(address) {
  const began = performance.now();
  let url = new URL(address, location.href);
  let document = await json(url, 'no-cache');
  if (document.model) {
    const root = new URL(url.pathname.slice(0, url.pathname.indexOf('ml-models/')), url);
    url = new URL(document.model, root);
    document = await json(url);
  }
  if (document.format !== FORMAT) throw new Error(`${url} has format ${document.format}, not ${FORMAT}`);
  const answer = await fetch(new URL(document.weights.file, url));
  if (!answer.ok) throw new Error(`${answer.url}: HTTP ${answer.status}`);
  const bytes = await answer.arrayBuffer();
  if (bytes.byteLength !== document.weights.bytes) throw new Error(`${answer.url} is not whole`);
  const weights = document.weights.type === 'f2' ? widened(new Uint16Array(bytes)) : new Float32Array(bytes);
  const model = new Model(document, weights);
  model.loadMilliseconds = performance.now() - began;
  return model;
}

async function json(url, cache = 'default') {
  const answer = await fetch(url, { cache });
  if (!answer.ok) throw new Error(`${url}: HTTP ${answer.status}`);
  return answer.json();
}

class Model {
  constructor(document, weights) {
    this.document = document;
    this.classes = document.preprocessing.classes;
    this.contract = understood(document.preprocessing);
    this.steps = prepared(document, weights);
    this.nearest = compared(document.nearest, weights);
  }

  /** The most likely products of one photo, best first, and how long it took. */
  async predict(photo, { top = 3 } = {}) {
    const began = performance.now();
    const input = await this.prepare(photo);
    const ready = performance.now();
    const { probabilities, embedding } = this.run(input);
    const products = this.classes.map((product, index) => ({ product, probability: probabilities[index] }));
    products.sort((a, b) => b.probability - a.probability);
    const near = embedding && this.nearest(embedding);
    if (near) products.unshift(near);
    const done = performance.now();
    return {
      products: products.slice(0, top), probabilities, embedding,
      milliseconds: { prepare: ready - began, predict: done - ready, total: done - began },
    };
  }

  /** A photo as the network wants it: size x size x 3 values from 0 to 255. */
  async prepare(photo) {
    const { pixels, width, height } = await decoded(photo, this.contract);
    return resized(pixels, width, height, this.contract);
  }

  /** The outputs for size x size x 3 values from 0 to 255: arrays by name. */
  run(input) {
    return this.steps(input);
  }
}

// -- The photo ---------------------------------------------------------------------------------------------------

/** The contract, where every part of it is one that this file keeps; a photo prepared otherwise would be misjudged. */
function understood(contract) {
  const known = {
    orientation: ['exif'], transparent: ['white'], fit: ['centre-crop', 'stretch'], resize: ['triangle'],
    channels: ['RGB', 'BGR'],
  };
  for (const [name, values] of Object.entries(known)) {
    if (!values.includes(contract[name])) throw new Error(`the model wants ${name} ${contract[name]}: update predict.js`);
  }
  return contract;
}

/** The pixels of a photo, upright, on white: RGBA bytes. */
async function decoded(photo, contract) {
  const options = { imageOrientation: 'from-image', colorSpaceConversion: 'none', premultiplyAlpha: 'none' };
  const bitmap = photo instanceof ImageBitmap ? photo : await createImageBitmap(photo, options);
  const { width, height } = bitmap;
  const side = contract.fit === 'centre-crop' ? Math.min(width, height) : 0;
  const [wide, high] = side ? [side, side] : [width, height];
  const canvas = new OffscreenCanvas(wide, high);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.fillStyle = 'white';
  context.fillRect(0, 0, wide, high);
  context.drawImage(bitmap, -Math.floor((width - wide) / 2), -Math.floor((height - high) / 2));
  if (bitmap !== photo) bitmap.close();
  return { pixels: context.getImageData(0, 0, wide, high).data, width: wide, height: high };
}

/** A photo at the model's size: Pillow's BILINEAR to the bit, which is a triangle as wide as the scale. */
export function resized(pixels, width, height, { size, channels }) {
  const across = coefficients(width, size), down = coefficients(height, size);
  const rows = new Uint8ClampedArray(size * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < size; x++) {
      const { first, values } = across[x];
      let r = 1 << 21, g = 1 << 21, b = 1 << 21;
      for (let k = 0, at = (y * width + first) * 4; k < values.length; k++, at += 4) {
        r += pixels[at] * values[k]; g += pixels[at + 1] * values[k]; b += pixels[at + 2] * values[k];
      }
      const to = (y * size + x) * 3;
      rows[to] = r >> 22; rows[to + 1] = g >> 22; rows[to + 2] = b >> 22;
    }
  }
  const made = new Float32Array(size * size * 3), stride = size * 3;
  for (let y = 0; y < size; y++) {
    const { first, values } = down[y];
    for (let x = 0; x < stride; x++) {
      let sum = 1 << 21;
      for (let k = 0, at = first * stride + x; k < values.length; k++, at += stride) sum += rows[at] * values[k];
      made[y * stride + x] = Math.min(255, Math.max(0, sum >> 22));
    }
  }
  if (channels === 'BGR') for (let i = 0; i < made.length; i += 3) [made[i], made[i + 2]] = [made[i + 2], made[i]];
  return made;
}

/** For every place of a line of `to`: where in the line of `from` it begins to look, and with which 22-bit shares. */
function coefficients(from, to) {
  const scale = from / to, support = Math.max(scale, 1), narrow = 1 / support;
  return Array.from({ length: to }, (_, place) => {
    const centre = (place + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const last = Math.min(from, Math.trunc(centre + support + 0.5));
    const shares = [];
    for (let at = first; at < last; at++) shares.push(Math.max(0, 1 - Math.abs((at - centre + 0.5) * narrow)));
    const sum = shares.reduce((total, share) => total + share, 0);
    return { first, values: Int32Array.from(shares, share => Math.trunc(0.5 + (share / sum) * (1 << 22))) };
  });
}

// -- The network -------------------------------------------------------------------------------------------------

/** A function from the input to the outputs; buffers are made once, and used again for every photo. */
function prepared(document, numbers) {
  const need = [];
  for (const op of document.ops) need[op.out] = Math.max(need[op.out] ?? 0, volume(op.shape));
  const unrolled = document.ops.filter(op => op.kind === 'conv' && !isPointwise(op));
  const scratch = Math.max(0, ...unrolled.map(op => op.shape[0] * op.shape[1] * op.kernel[0] * op.kernel[1] * op.from[2]));
  const slots = need.map(length => new Float32Array(length));
  const views = { slots, numbers, scratch: new Float32Array(scratch) };
  const steps = document.ops.map(op => step(op, views));
  const where = Object.fromEntries(document.ops.map(op => [op.name, op]));
  return input => {
    slots[document.ops[0].out].set(input);
    for (const run of steps) run();
    return Object.fromEntries(Object.entries(document.outputs).map(([name, from]) => {
      const op = where[from];
      return [name, slots[op.out].slice(0, volume(op.shape))];
    }));
  };
}

/** A product of too few photos to be learned, where a photo is nearest to its prototype, and near enough; or null. */
function compared(nearest, numbers) {
  if (!nearest) return () => null;
  const [start, [count, length]] = nearest.vectors;
  return embedding => {
    const size = Math.hypot(...embedding);
    let best = -1, most = -Infinity;
    for (let one = 0, at = start; one < count; one++) {
      let cosine = 0;
      for (let i = 0; i < length; i++) cosine += embedding[i] * numbers[at++];
      if (cosine > most) [best, most] = [one, cosine];
    }
    const sure = most / size;
    return nearest.trained[best] || sure < nearest.threshold ? null : { product: nearest.products[best], probability: sure };
  };
}

const volume = shape => shape.reduce((product, length) => product * length, 1);
const isPointwise = op => op.kernel[0] === 1 && op.kernel[1] === 1 && op.stride[0] === 1 && op.stride[1] === 1;

/** One operation, ready to run. */
function step(op, { slots, numbers, scratch }) {
  const [a, b] = op.in.map(slot => slots[slot]), out = slots[op.out], size = volume(op.shape);
  const part = name => (op[name] ? numbers.subarray(op[name][0], op[name][0] + volume(op[name][1])) : null);
  const weights = part('weights'), bias = part('bias'), channels = op.shape[op.shape.length - 1];
  const low = 'most' in op ? 0 : -Infinity, high = op.most ?? Infinity;
  const clipped = () => {
    if (low === 0) for (let i = 0; i < size; i++) out[i] = Math.min(high, Math.max(0, out[i]));
  };
  switch (op.kind) {
    case 'input': return () => {};
    case 'conv': {
      const places = op.shape[0] * op.shape[1], depth = weights.length / channels;
      if (isPointwise(op)) return () => multiplied(a, weights, bias, out, places, depth, channels, low, high);
      return () => {
        unroll(op, a, scratch);
        multiplied(scratch, weights, bias, out, places, depth, channels, low, high);
      };
    }
    case 'dense': return () => multiplied(a, weights, bias, out, 1, weights.length / channels, channels, low, high);
    case 'depthwise': return () => depthwise(op, a, weights, bias, out, low, high);
    case 'affine': return () => {
      for (let i = 0, c = 0; i < size; i++) {
        out[i] = a[i] * weights[c] + bias[c];
        if (++c === channels) c = 0;
      }
      clipped();
    };
    case 'relu': return () => { out.set(a.subarray(0, size)); clipped(); };
    case 'add': return () => { for (let i = 0; i < size; i++) out[i] = a[i] + b[i]; clipped(); };
    case 'pad': return () => unroll({ ...op, kernel: [1, 1], stride: [1, 1] }, a, out);
    case 'average': return () => {
      const sums = new Float64Array(size), count = op.from[0] * op.from[1];
      for (let i = 0, at = 0; i < count; i++) for (let c = 0; c < size; c++) sums[c] += a[at++];
      for (let c = 0; c < size; c++) out[c] = sums[c] / count;
    };
    case 'softmax': return () => {
      const given = a.subarray(0, size), most = given.reduce((x, y) => Math.max(x, y));
      const raised = Float64Array.from(given, x => Math.exp(x - most)), sum = raised.reduce((x, y) => x + y);
      for (let i = 0; i < size; i++) out[i] = raised[i] / sum;
    };
    case 'unit': return () => {
      let squares = 0;
      for (let i = 0; i < size; i++) squares += a[i] * a[i];
      const factor = 1 / Math.sqrt(Math.max(squares, 1e-12));
      for (let i = 0; i < size; i++) out[i] = a[i] * factor;
    };
    default: throw new Error(`the model has operation ${op.kind}: update predict.js`);
  }
}

/** What a convolution sees at every place, in a row: its product with the weights is the convolution. */
function unroll({ kernel, stride, pad, shape, from }, given, made) {
  const [high, wide, channels] = from;
  let to = 0;
  for (let y = 0; y < shape[0]; y++) for (let x = 0; x < shape[1]; x++) {
    for (let i = 0; i < kernel[0]; i++) for (let j = 0; j < kernel[1]; j++) {
      const row = y * stride[0] + i - pad[0], column = x * stride[1] + j - pad[2];
      if (row < 0 || row >= high || column < 0 || column >= wide) made.fill(0, to, to + channels);
      else {
        const at = (row * wide + column) * channels;
        for (let c = 0; c < channels; c++) made[to + c] = given[at + c];
      }
      to += channels;
    }
  }
}

/** Every channel by a kernel of its own. */
function depthwise({ kernel, stride, pad, shape, from }, given, weights, bias, out, low, high) {
  const [tall, wide, channels] = from, sums = new Float64Array(channels);
  for (let y = 0, to = 0; y < shape[0]; y++) for (let x = 0; x < shape[1]; x++, to += channels) {
    sums.set(bias);
    for (let i = 0; i < kernel[0]; i++) {
      const row = y * stride[0] + i - pad[0];
      if (row < 0 || row >= tall) continue;
      for (let j = 0; j < kernel[1]; j++) {
        const column = x * stride[1] + j - pad[2];
        if (column < 0 || column >= wide) continue;
        const at = (row * wide + column) * channels, tap = (i * kernel[1] + j) * channels;
        for (let c = 0; c < channels; c++) sums[c] += given[at + c] * weights[tap + c];
      }
    }
    for (let c = 0; c < channels; c++) out[to + c] = Math.min(high, Math.max(low, sums[c]));
  }
}

/** out[p][o] = bias[o] + the sum over k of a[p][k] * weights[k][o], clipped; four k at a time. */
function multiplied(a, weights, bias, out, places, depth, channels, low, high) {
  const sums = new Float64Array(channels);
  for (let p = 0; p < places; p++) {
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

/** IEEE 754 half precision, widened. */
function widened(halves) {
  const made = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) {
    const h = halves[i], exponent = (h >> 10) & 31, fraction = h & 1023;
    const size = exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24;
    made[i] = h >> 15 ? -size : size;
  }
  return made;
}
