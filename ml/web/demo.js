// The demo page: shows the most likely products for a selected photo, and how long recognition took.
// Pass the URL of the model as a parameter: demo.html?model=https://shop.example/ml-models/current.json

import { load } from './predict.js';

const byId = id => document.getElementById(id);
const address = new URLSearchParams(location.search).get('model') ?? 'model.json';
const formatMilliseconds = milliseconds => `${Math.max(1, Math.round(milliseconds))} ms`;
let model = null, photoUrl = '', latestRequest = 0;

function showError(text) {
  byId('trouble').textContent = text;
  byId('trouble').hidden = !text;
}

async function start() {
  try {
    model = await load(address);
    await model.warmUp();
  } catch (error) {
    byId('model').textContent = 'Model not loaded.';
    showError(`Cannot load the model: ${error.message}. Check that ${address} is the URL of a model.`);
    return;
  }
  const { version, weights } = model.document, size = (weights.bytes / 1e6).toPrecision(2);
  const label = version ? `Model ${version}` : 'Model';
  byId('model').textContent =
    `${label}: ${model.classes.length} products, ${size} MB, loaded in ${formatMilliseconds(model.loadMilliseconds)}.`;
  byId('photo').disabled = byId('camera').disabled = false;
}

async function recognise(file) {
  if (!file || !model) return;
  const request = ++latestRequest;
  showError('');
  byId('answer').hidden = true;
  byId('shown').hidden = true;
  URL.revokeObjectURL(photoUrl);
  let result;
  try {
    result = await model.predict(file);
  } catch (error) {
    if (request !== latestRequest) return;
    const advice = error.name === 'PhotoError' ? 'Choose a JPEG, PNG or WebP file.' : 'Reload the page and try again.';
    showError(error.name === 'PhotoError' ? `Cannot read ${file.name}: ${error.message}. ${advice}` : `Recognition failed: ${error.message}. ${advice}`);
    return;
  }
  if (request !== latestRequest) return;
  byId('shown').src = photoUrl = URL.createObjectURL(file);
  byId('shown').hidden = false;
  byId('ask').firstElementChild.textContent = 'Choose another photo';
  byId('decision').textContent = describe(result);
  const none = { product: 'None of our products', probability: result.none, isNone: true };
  const ranked = [...result.products, none].sort((a, b) => b.probability - a.probability);
  byId('products').replaceChildren(...ranked.map(renderProduct));
  const { prepare, predict } = result.milliseconds;
  byId('timing').textContent = `${formatMilliseconds(prepare)} to prepare the photo, ${formatMilliseconds(predict)} to recognise it.`;
  byId('answer').hidden = false;
}

/** The answer in one sentence: it abstains rather than misleads. */
function describe({ decision, products, group }) {
  if (decision === 'product') return `This is ${products[0].product}.`;
  if (decision === 'group') return `This is one of these lookalikes: ${group.join(', ')}.`;
  if (decision === 'none') return 'This is none of our products.';
  return 'Not sure. These products are closest; another photo, nearer and in better light, may help.';
}

function renderProduct({ product, probability, isNone = false }) {
  const item = document.createElement('li'), name = document.createElement('span'), share = document.createElement('span');
  name.textContent = product;
  item.classList.toggle('none', isNone);
  share.textContent = `${(probability * 100).toFixed(1)}%`;
  item.style.setProperty('--share', `${(probability * 100).toFixed(1)}%`);
  item.append(name, share);
  return item;
}

for (const id of ['photo', 'camera']) byId(id).addEventListener('change', event => recognise(event.target.files[0]));
for (const kind of ['dragover', 'dragleave', 'drop']) {
  byId('drop').addEventListener(kind, event => {
    event.preventDefault();
    byId('drop').classList.toggle('over', kind === 'dragover');
    if (kind === 'drop') recognise(event.dataTransfer.files[0]);
  });
}
start();
