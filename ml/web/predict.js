// Recognise a product in a photo, in the browser, without dependencies.
//
//   import { load } from './predict.js';
//   const model = await load('https://shop.example/ml-models/current.json');
//   const answer = await model.predict(file);   // a File, Blob, <img>, <canvas> or ImageBitmap
//   answer.products[0]                          // { product: 'ring-12', probability: 0.87 }, the best of one ranked list
//   answer.none                                 // 0.04: the probability that it is none of the shop's products
//   answer.decision                             // 'product', 'group' (of lookalikes), 'none' or 'unsure'
//   answer.group                                // ['ring-12', 'ring-13'] if the decision is 'group'
//
// All probabilities, of all products and of none, sum to 1. Recognition runs in a worker, so that the page never blocks;
// without workers it runs in the page. Call model.close() when the model is no longer needed.
// Loads the output of `python -m ml.export`: model.json (the operations and the preprocessing contract) and a weights
// file. Photos never leave the browser.

const FORMAT = 'orchestrator-layers/2';
const CLASSIFIER_FORMAT = 'orchestrator-layers/1'; // models with a softmax over classes, of before
const CERTAIN_PROBABILITY = 0.5;                   // as in ml/answers.py
const F32 = 0x7d, I32 = 0x7f, V128 = 0x7b;         // types of WebAssembly
const STRIP_PIXELS = 4e6;                          // pixels of a photo that are read at a time
const DEPTHWISE_SIDES = [3, 5];                    // of the kernels with a fast path
const TILE_ROWS = 4, TILE_COLUMNS = 8;             // outputs of one inner loop: as many sums as processors have registers

/** Load a model from the URL of model.json, or of current.json, which points to it. Throws if it is incomplete. */
export async function load(address, { worker = true } = {}) {
  const url = new URL(address, globalThis.document?.baseURI ?? location.href).href;
  if (worker && typeof Worker === 'function' && typeof OffscreenCanvas === 'function') {
    const remote = await RemoteModel.start(url);
    if (remote) return remote;
  }
  return loadHere(url);
}

async function loadHere(address) {
  const started = performance.now();
  let url = new URL(address);
  let document = await fetchJson(url, 'no-cache').catch(error => {
    if (error instanceof TypeError) return fetchJson(url, 'force-cache'); // no network: the model that was loaded last
    throw error;
  });
  if (document.model) {
    const root = new URL(url.pathname.slice(0, url.pathname.indexOf('ml-models/')), url);
    url = new URL(document.model, root);
    document = await fetchJson(url);
  }
  if (document.format !== FORMAT && document.format !== CLASSIFIER_FORMAT) {
    throw new Error(`${url} has the unsupported format ${document.format}; expected ${FORMAT}: update predict.js`);
  }
  const response = await fetch(new URL(document.weights.file, url));
  if (!response.ok) throw new Error(`${response.url}: HTTP ${response.status}`);
  const bytes = await response.arrayBuffer();
  if (bytes.byteLength !== document.weights.bytes) throw new Error(`${response.url} is incomplete`);
  const model = new Model(document, decodeWeights(document, bytes));
  model.loadMilliseconds = performance.now() - started;
  return model;
}

/** Return all weights as one Float32Array; references of the document become [offset, shape]. */
function decodeWeights(document, bytes) {
  if (document.format === CLASSIFIER_FORMAT) {
    return document.weights.type === 'f2' ? decodeFloat16(new Uint16Array(bytes)) : new Float32Array(bytes);
  }
  const holders = document.ops.flatMap(op => [[op, 'weights'], [op, 'bias']]).concat([[document.answer, 'prototypes']]);
  const references = holders.filter(([holder, name]) => holder[name]);
  const weights = new Float32Array(references.reduce((sum, [holder, name]) => sum + volume(holder[name].shape), 0));
  let offset = 0;
  for (const [holder, name] of references) {
    const { at, shape, type, scales } = holder[name], count = volume(shape), target = weights.subarray(offset, offset + count);
    if (type === 'f4') target.set(new Float32Array(bytes, at, count));
    else if (type === 'f2') target.set(decodeFloat16(new Uint16Array(bytes, at, count)));
    else if (type === 'i1') {
      const steps = new Int8Array(bytes, at, count), channels = shape[shape.length - 1];
      const sizes = new Float32Array(bytes, scales, channels);
      for (let i = 0, c = 0; i < count; i++) {
        target[i] = steps[i] * sizes[c];
        if (++c === channels) c = 0;
      }
    } else throw new Error(`unsupported weights of type ${type}: update predict.js`);
    holder[name] = [offset, shape];
    offset += count;
  }
  return weights;
}

async function fetchJson(url, cache = 'default') {
  const response = await fetch(url, { cache });
  if (!response.ok) throw new Error(`${url}: HTTP ${response.status}`);
  return response.json();
}

class Model {
  constructor(document, weights) {
    this.document = document;
    this.contract = checkContract(document.preprocessing);
    this.runNetwork = buildNetwork(document, weights);
    this.computeAnswer = document.format === FORMAT ? buildAnswer(document, weights) : buildClassifierAnswer(document, weights);
    this.classes = document.preprocessing.classes;
  }

  /** Predict which product a photo shows: the `top` best of the ranked list, none, the decision, and timings. */
  async predict(photo, { top = 3 } = {}) {
    const started = performance.now();
    const input = await this.prepare(photo);
    const prepared = performance.now();
    const { embedding, products, none } = this.computeAnswer(this.run(input));
    products.sort((a, b) => b.probability - a.probability);
    const finished = performance.now();
    return {
      products: products.slice(0, top), none, ...decide(products, none, this.document.answer?.groups ?? []), embedding,
      milliseconds: { prepare: prepared - started, predict: finished - prepared, total: finished - started },
    };
  }

  /** Return a photo as network input: size x size x 3 values from 0 to 255. */
  async prepare(photo) {
    const bitmap = photo instanceof ImageBitmap ? photo : await decodeBitmap(photo);
    try {
      return resizePhoto(bitmap, this.contract);
    } finally {
      if (bitmap !== photo) bitmap.close();
    }
  }

  /** Run the network on size x size x 3 values from 0 to 255; returns output arrays by name. */
  run(input) {
    return this.runNetwork(input);
  }

  /** Predict a grey picture, so that the browser compiles the code before the first photo. */
  async warmUp() {
    this.run(new Float32Array(this.contract.size ** 2 * 3).fill(127));
  }

  close() {}
}

/** Answers with the highest certainty: one product, a group of lookalikes, none of the products, or unsure. */
function decide(products, none, groups) {
  const [best] = products, group = groups.find(names => names.includes(best.product)) ?? [];
  const shared = products.reduce((sum, { product, probability }) => sum + (group.includes(product) ? probability : 0), 0);
  if (best.probability >= CERTAIN_PROBABILITY) return { decision: 'product', group: [] };
  if (shared >= CERTAIN_PROBABILITY) return { decision: 'group', group };
  return { decision: none >= CERTAIN_PROBABILITY ? 'none' : 'unsure', group: [] };
}

/** A model in a worker, with the methods of Model. */
class RemoteModel {
  static async start(url) {
    let worker;
    try {
      worker = new Worker(import.meta.url, { type: 'module' });
    } catch {
      return null; // an old browser, or a page from another origin than this script
    }
    const model = new RemoteModel(worker);
    const ready = await Promise.race([model.call('hello'), model.failed.catch(() => null)]);
    if (ready !== 'ready') {
      model.close();
      return null;
    }
    Object.assign(model, await model.call('load', url));
    return model;
  }

  constructor(worker) {
    this.worker = worker;
    this.calls = new Map();
    this.failed = new Promise((_, reject) => worker.addEventListener('error', event => reject(new Error(event.message))));
    this.failed.catch(error => { for (const { reject } of this.calls.values()) reject(error); });
    worker.addEventListener('message', ({ data: { number, value, error } }) => {
      const { resolve, reject } = this.calls.get(number);
      this.calls.delete(number);
      if (error) reject(Object.assign(new Error(error.message), { name: error.name }));
      else resolve(value);
    });
  }

  call(method, ...values) {
    const number = this.number = (this.number ?? 0) + 1;
    return new Promise((resolve, reject) => {
      this.calls.set(number, { resolve, reject });
      this.worker.postMessage({ number, method, values });
    });
  }

  async predict(photo, options = {}) { return this.call('predict', await transferable(photo), options); }
  async prepare(photo) { return this.call('prepare', await transferable(photo)); }
  run(input) { return this.call('run', input); }
  warmUp() { return this.call('warmUp'); }
  close() { this.worker.terminate(); }
}

/** Blobs and bitmaps can be sent to a worker, elements of the page cannot. */
const transferable = photo => (photo instanceof Blob || photo instanceof ImageBitmap ? photo : createImageBitmap(photo));

if (typeof WorkerGlobalScope === 'function' && globalThis instanceof WorkerGlobalScope) {
  let model = null;
  const methods = {
    hello: () => 'ready',
    load: async url => {
      model = await loadHere(url);
      const { document, classes, contract, loadMilliseconds } = model;
      const { ops, ...rest } = document;
      return { document: rest, classes, contract, loadMilliseconds };
    },
  };
  addEventListener('message', async ({ data: { number, method, values } }) => {
    try {
      postMessage({ number, value: await (methods[method] ?? model[method].bind(model))(...values) });
    } catch (error) {
      postMessage({ number, error: { name: error.name, message: error.message } });
    }
  });
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

/**
 * Crop a bitmap on a white background and resize it to the model's size, bit-identical to Pillow's BILINEAR: a triangle
 * filter as wide as the scale. Reads the bitmap in strips: browsers limit canvases, to 16,777,216 pixels on iPhones, which
 * take photos of 24 and 48 megapixels. Throws a PhotoError if not even a strip can be read.
 */
function resizePhoto(bitmap, contract) {
  const { width, height } = bitmap, { size } = contract;
  const side = contract.fit === 'centre-crop' ? Math.min(width, height) : 0;
  const [cropWidth, cropHeight] = side ? [side, side] : [width, height];
  const stripHeight = Math.max(1, Math.min(cropHeight, Math.floor(STRIP_PIXELS / cropWidth)));
  const context = createCanvas(cropWidth, stripHeight).getContext('2d', { willReadFrequently: true });
  if (!context) throw new PhotoError(`${width} x ${height} pixels are too many for this browser`);
  const left = Math.floor((width - cropWidth) / 2), top = Math.floor((height - cropHeight) / 2);
  const rows = new Uint8ClampedArray(size * cropHeight * 3), horizontal = coefficients(cropWidth, size);
  for (let first = 0; first < cropHeight; first += stripHeight) {
    const count = Math.min(stripHeight, cropHeight - first);
    context.fillStyle = 'white';
    context.fillRect(0, 0, cropWidth, count);
    context.drawImage(bitmap, -left, -top - first);
    const target = rows.subarray(first * size * 3, (first + count) * size * 3);
    resizeRows(context.getImageData(0, 0, cropWidth, count).data, cropWidth, count, horizontal, target);
  }
  return resizeColumns(rows, cropHeight, contract);
}

/** The photo is the reason of the failure, not the model or the browser. */
export class PhotoError extends Error {
  name = 'PhotoError';
}

async function decodeBitmap(photo) {
  const options = { imageOrientation: 'from-image', colorSpaceConversion: 'none', premultiplyAlpha: 'none' };
  try {
    return await createImageBitmap(photo, options);
  } catch (error) {
    if (error.name !== 'InvalidStateError' && error.name !== 'EncodingError') throw error;
    throw new PhotoError('this browser cannot read the file as a photo');
  }
}

/** OffscreenCanvas is missing in Safari before 16.4; a page has elements instead. */
function createCanvas(width, height) {
  if (typeof OffscreenCanvas === 'function') return new OffscreenCanvas(width, height);
  return Object.assign(document.createElement('canvas'), { width, height });
}

/** Resize each row of RGBA pixels to the positions of `horizontal`: RGB bytes, into `rows`. */
function resizeRows(pixels, width, height, horizontal, rows) {
  for (let y = 0, to = 0; y < height; y++) {
    for (const { first, values } of horizontal) {
      let r = 1 << 21, g = 1 << 21, b = 1 << 21;
      for (let k = 0, at = (y * width + first) * 4; k < values.length; k++, at += 4) {
        r += pixels[at] * values[k]; g += pixels[at + 1] * values[k]; b += pixels[at + 2] * values[k];
      }
      rows[to++] = r >> 22; rows[to++] = g >> 22; rows[to++] = b >> 22;
    }
  }
}

/** Resize the columns of `height` rows of RGB bytes; returns the network's input. */
function resizeColumns(rows, height, { size, channels }) {
  const vertical = coefficients(height, size), resized = new Float32Array(size * size * 3), stride = size * 3;
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
function buildNetwork(document, weights) {
  const slotLengths = [];
  for (const op of document.ops) slotLengths[op.out] = Math.max(slotLengths[op.out] ?? 0, paddedVolume(op.shape));
  const unrolled = document.ops.filter(op => op.kind === 'conv' && !isPointwise(op));
  const scratchLength = Math.max(0, ...unrolled.map(op => {
    const depth = op.kernel[0] * op.kernel[1] * op.from[2];
    return paddedVolume([op.shape[0] * op.shape[1], depth]);
  }), ...document.ops.filter(op => op.kind === 'depthwise').map(op => volume(paddedShape(op))));
  const { arrays: [scratch, allWeights, ...slots], kernels } = allocate([scratchLength, weights.length, ...slotLengths]);
  allWeights.set(weights);
  const steps = document.ops.map(op => buildStep(op, { slots, allWeights, scratch, ...kernels }));
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

/** Buffers of these lengths, and the fastest kernels for them: with SIMD where WebAssembly has it, or plain. */
function allocate(lengths) {
  try {
    const total = lengths.reduce((sum, length) => sum + 4 * Math.ceil(length / 4), 0);
    const memory = new WebAssembly.Memory({ initial: Math.ceil(total * 4 / 65536) });
    const module = new WebAssembly.Module(assembleKernels());
    const { matmul: fast, ...depthwises } = new WebAssembly.Instance(module, { e: { m: memory } }).exports;
    let offset = 0;
    const arrays = lengths.map(length => {
      const array = new Float32Array(memory.buffer, offset, length);
      offset += 16 * Math.ceil(length / 4);
      return array;
    });
    const multiply = (a, weights, bias, out, positions, depth, channels, low, high) => {
      if (channels % TILE_COLUMNS) matmul(a, weights, bias, out, positions, depth, channels, low, high);
      else fast(a.byteOffset, weights.byteOffset, bias.byteOffset, out.byteOffset, positions, depth, channels, low, high);
    };
    const [scratch] = arrays;
    const convolve = (op, input, weights, bias, out, low, high) => {
      const { kernel, stride, shape: [height, width, channels] } = op;
      const fastDepthwise = kernel[0] === kernel[1] && channels % 4 === 0 ? depthwises[`depthwise${kernel[0]}`] : undefined;
      if (!fastDepthwise) return depthwise(op, input, weights, bias, out, low, high);
      const rowBytes = copyPadded(op, input, scratch);
      return fastDepthwise(scratch.byteOffset, weights.byteOffset, bias.byteOffset, out.byteOffset, height, width, channels,
        rowBytes, stride[1] * channels * 4, stride[0] * rowBytes, low, high);
    };
    return { arrays, kernels: { multiply, convolve } };
  } catch { // an old browser, or a content security policy without 'wasm-unsafe-eval'
    return { arrays: lengths.map(length => new Float32Array(length)), kernels: { multiply: matmul, convolve: depthwise } };
  }
}

/** The shape of a depthwise convolution's input with its padding around it. */
const paddedShape = ({ from: [height, width, channels], pad: [top, bottom, left, right] }) =>
  [height + top + bottom, width + left + right, channels];

/** Copy an input into the middle of zeros; returns the bytes of a row. */
function copyPadded(op, input, padded) {
  const [height, width, channels] = op.from, shape = paddedShape(op), rowLength = shape[1] * channels;
  padded.fill(0, 0, volume(shape));
  for (let row = 0; row < height; row++) {
    const target = (row + op.pad[0]) * rowLength + op.pad[2] * channels;
    padded.set(input.subarray(row * width * channels, (row + 1) * width * channels), target);
  }
  return rowLength * 4;
}

/** Return a function from the network's outputs to the probabilities of all products and of none, as ml/answers.py. */
function buildAnswer({ answer, preprocessing: { classes } }, allWeights) {
  const [start, [count, length]] = answer.prototypes, { owners, scale, none } = answer;
  return ({ embedding }) => {
    const similarities = new Float32Array(classes.length).fill(-1);
    for (let index = 0, at = start; index < count; index++) {
      let cosine = 0;
      for (let i = 0; i < length; i++) cosine += embedding[i] * allWeights[at++];
      if (cosine > similarities[owners[index]]) similarities[owners[index]] = cosine;
    }
    const logits = [...Array.from(similarities, cosine => cosine * scale), none];
    const peak = logits.reduce((x, y) => Math.max(x, y)), exponentials = logits.map(logit => Math.exp(logit - peak));
    const sum = exponentials.reduce((x, y) => x + y);
    const products = classes.map((product, index) => ({ product, probability: exponentials[index] / sum }));
    return { embedding, products, none: exponentials[classes.length] / sum };
  };
}

/** The same for models of before: a product with few photos comes first if its prototype is near enough. */
function buildClassifierAnswer({ nearest, preprocessing: { classes } }, allWeights) {
  return ({ probabilities, embedding }) => {
    const products = classes.map((product, index) => ({ product, probability: probabilities[index] }));
    if (!nearest || !embedding) return { embedding, products, none: 0 };
    const [start, [count, length]] = nearest.vectors;
    let best = -1, similarity = -Infinity;
    for (let index = 0, at = start; index < count; index++) {
      let cosine = 0;
      for (let i = 0; i < length; i++) cosine += embedding[i] * allWeights[at++];
      if (cosine > similarity) [best, similarity] = [index, cosine];
    }
    if (nearest.trained[best] || similarity < nearest.threshold) return { embedding, products, none: 0 };
    for (const item of products) item.probability *= 1 - similarity;
    return { embedding, products: [...products, { product: nearest.products[best], probability: similarity }], none: 0 };
  };
}

/** The length of a buffer for a matrix with rows rounded up to whole tiles. */
const paddedVolume = shape => volume(shape) + (TILE_ROWS - 1) * shape[shape.length - 1];
const volume = shape => shape.reduce((product, length) => product * length, 1);
const isPointwise = op => op.kernel[0] === 1 && op.kernel[1] === 1 && op.stride[0] === 1 && op.stride[1] === 1;

/** Return a function that runs one operation. */
function buildStep(op, { slots, allWeights, scratch, multiply, convolve }) {
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
      if (isPointwise(op)) return () => multiply(a, weights, bias, out, positions, depth, channels, low, high);
      return () => {
        unroll(op, a, scratch);
        multiply(scratch, weights, bias, out, positions, depth, channels, low, high);
      };
    }
    case 'dense': return () => multiply(a, weights, bias, out, 1, weights.length / channels, channels, low, high);
    case 'depthwise': return () => convolve(op, a, weights, bias, out, low, high);
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

// -- The fast path: kernels in WebAssembly with SIMD, assembled here, so that nothing else has to be loaded ---------

/** Unsigned LEB128. */
function leb(value) {
  const bytes = [];
  do {
    bytes.push((value & 127) | (value > 127 ? 128 : 0));
    value >>>= 7;
  } while (value);
  return bytes;
}

/** Signed LEB128, for constants. */
function sleb(value) {
  const bytes = [];
  for (;;) {
    const byte = value & 127;
    value >>= 7;
    const isLast = (value === 0 && !(byte & 64)) || (value === -1 && byte & 64);
    bytes.push(isLast ? byte : byte | 128);
    if (isLast) return bytes;
  }
}

// Instructions of WebAssembly: locals, constants, arithmetic of addresses and of four floats at once.
const get = i => [0x20, ...leb(i)], set = i => [0x21, ...leb(i)], constant = n => [0x41, ...sleb(n)];
const add = [0x6a], subtract = [0x6b], mul = [0x6c], simd = (op, ...more) => [0xfd, ...leb(op), ...more];
const vLoad = offset => simd(0, 2, ...leb(offset)), vStore = offset => simd(11, 2, ...leb(offset));
const splatLoad = simd(9, 2, 0), splat = simd(19);
const vAdd = simd(228), vMul = simd(230), vMin = simd(234), vMax = simd(235);
const timesFour = i => [...get(i), ...constant(4), ...mul];
const step = (local, bytes) => [...get(local), ...bytes, ...add, ...set(local)];
const loop = (body, counter, limit, by) => [
  ...constant(0), ...set(counter),
  0x03, 0x40, ...body, ...step(counter, constant(by)), ...get(counter), ...get(limit), 0x49, 0x0d, 0, 0x0b,
];

/**
 * matmul(a, weights, bias, out, positions, depth, channels, low, high), all pointers in bytes.
 * out[p][o] = clip(bias[o] + sum over k of a[p][k] * weights[k][o]). Positions are rounded up to TILE_ROWS, so the
 * buffers have room for that; channels are a multiple of TILE_COLUMNS.
 */
function assembleMatmul() {
  const [a, weights, bias, out, positions, depth, channels, low, high] = [0, 1, 2, 3, 4, 5, 6, 7, 8];
  const [p, o, k, row, weight, rowBytes, outBytes, target] = [9, 10, 11, 12, 13, 14, 15, 16];
  const [lowest, highest] = [17, 18], sums = Array.from({ length: 8 }, (_, i) => 19 + i), [w0, w1, value] = [27, 28, 29];
  const tileRow = r => [...get(row), ...get(rowBytes), ...constant(r), ...mul, ...add]; // address of a[p + r][k]
  const inner = [
    ...get(weight), ...vLoad(0), ...set(w0), ...get(weight), ...vLoad(16), ...set(w1),
    ...[0, 1, 2, 3].flatMap(r => [
      ...tileRow(r), ...splatLoad, ...set(value),
      ...get(sums[2 * r]), ...get(value), ...get(w0), ...vMul, ...vAdd, ...set(sums[2 * r]),
      ...get(sums[2 * r + 1]), ...get(value), ...get(w1), ...vMul, ...vAdd, ...set(sums[2 * r + 1]),
    ]),
    ...step(row, constant(4)), ...step(weight, get(outBytes)),
  ];
  const columns = [
    ...get(bias), ...timesFour(o), ...add, ...vLoad(0), ...set(w0),
    ...get(bias), ...timesFour(o), ...add, ...vLoad(16), ...set(w1),
    ...[0, 1, 2, 3].flatMap(r => [...get(w0), ...set(sums[2 * r]), ...get(w1), ...set(sums[2 * r + 1])]),
    ...get(a), ...get(p), ...get(rowBytes), ...mul, ...add, ...set(row),
    ...get(weights), ...timesFour(o), ...add, ...set(weight),
    ...loop(inner, k, depth, 1),
    ...get(out), ...get(p), ...get(outBytes), ...mul, ...add, ...timesFour(o), ...add, ...set(target),
    ...[0, 1, 2, 3].flatMap(r => [
      ...get(target), ...get(sums[2 * r]), ...get(lowest), ...vMax, ...get(highest), ...vMin, ...vStore(0),
      ...get(target), ...get(sums[2 * r + 1]), ...get(lowest), ...vMax, ...get(highest), ...vMin, ...vStore(16),
      ...step(target, get(outBytes)),
    ]),
  ];
  return [
    2, 8, I32, 13, V128,
    ...get(low), ...splat, ...set(lowest), ...get(high), ...splat, ...set(highest),
    ...timesFour(depth), ...set(rowBytes), ...timesFour(channels), ...set(outBytes),
    ...loop(loop(columns, o, channels, TILE_COLUMNS), p, positions, TILE_ROWS),
    0x0b,
  ];
}

/**
 * depthwiseN(input, weights, bias, out, height, width, channels, rowBytes, stepX, stepY, low, high): N x N kernels, of an
 * input with its padding around it. rowBytes: of one of its rows; stepX, stepY: bytes from one output's window to the
 * next. Channels are a multiple of four.
 */
function assembleDepthwise(side) {
  const [input, weights, bias, out, height, width, channels] = [0, 1, 2, 3, 4, 5, 6];
  const [rowBytes, stepX, stepY, low, high] = [7, 8, 9, 10, 11];
  const [y, x, c, at, weight, target, pixelBytes, nextRow] = [12, 13, 14, 15, 16, 17, 18, 19];
  const [sum, lowest, highest] = [20, 21, 22];
  const tap = [
    ...get(sum), ...get(at), ...vLoad(0), ...get(weight), ...vLoad(0), ...vMul, ...vAdd, ...set(sum),
    ...step(at, get(pixelBytes)), ...step(weight, get(pixelBytes)),
  ];
  const fourChannels = [
    ...get(input), ...get(y), ...get(stepY), ...mul, ...add, ...get(x), ...get(stepX), ...mul, ...add,
    ...timesFour(c), ...add, ...set(at),
    ...get(weights), ...timesFour(c), ...add, ...set(weight), ...get(bias), ...timesFour(c), ...add, ...vLoad(0), ...set(sum),
    ...Array(side).fill([...Array(side).fill(tap).flat(), ...step(at, get(nextRow))]).flat(),
    ...get(target), ...get(sum), ...get(lowest), ...vMax, ...get(highest), ...vMin, ...vStore(0), ...step(target, constant(16)),
  ];
  return [
    2, 8, I32, 3, V128,
    ...get(low), ...splat, ...set(lowest), ...get(high), ...splat, ...set(highest),
    ...timesFour(channels), ...set(pixelBytes), ...get(out), ...set(target),
    ...get(rowBytes), ...get(pixelBytes), ...constant(side), ...mul, ...subtract, ...set(nextRow),
    ...loop(loop(loop(fourChannels, c, channels, 4), x, width, 1), y, height, 1),
    0x0b,
  ];
}

/** A module with all functions, and one memory that it imports. */
function assembleKernels() {
  const section = (id, bytes) => [id, ...leb(bytes.length), ...bytes];
  const name = text => [text.length, ...[...text].map(letter => letter.charCodeAt(0))];
  const codes = [assembleMatmul(), ...DEPTHWISE_SIDES.map(assembleDepthwise)];
  const type = count => [0x60, count + 2, ...Array(count).fill(I32), F32, F32, 0];
  return new Uint8Array([
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(1, [2, ...type(7), ...type(10)]),
    ...section(2, [1, ...name('e'), ...name('m'), 2, 0, 1]),
    ...section(3, [codes.length, 0, ...DEPTHWISE_SIDES.map(() => 1)]),
    ...section(7, [codes.length, ...name('matmul'), 0, 0, ...DEPTHWISE_SIDES.flatMap((side, i) => [...name(`depthwise${side}`), 0, i + 1])]),
    ...section(10, [codes.length, ...codes.flatMap(code => [...leb(code.length), ...code])]),
  ]);
}
