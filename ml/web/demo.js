// The demo page: a photo is chosen, and the products that the model takes it for are shown, with the time it took.
// The address of the model comes after the page's own: demo.html?model=https://shop.example/ml-models/current.json

import { load } from './predict.js';

const at = id => document.getElementById(id);
const address = new URLSearchParams(location.search).get('model') ?? 'model.json';
const whole = milliseconds => `${Math.max(1, Math.round(milliseconds))} ms`;
let model = null, shown = '', latest = 0;

function complain(text) {
  at('trouble').textContent = text;
  at('trouble').hidden = !text;
}

async function begin() {
  try {
    model = await load(address);
  } catch (error) {
    at('model').textContent = 'No model.';
    complain(`The model cannot be loaded: ${error.message}. Is ${address} the address of one?`);
    return;
  }
  const { version, weights } = model.document, size = (weights.bytes / 1e6).toPrecision(2);
  const named = version ? `Model ${version}` : 'Model';
  at('model').textContent =
    `${named}: ${model.classes.length} products, ${size} MB, loaded in ${whole(model.loadMilliseconds)}.`;
  at('photo').disabled = false;
}

async function recognise(file) {
  if (!file || !model) return;
  const mine = ++latest;
  complain('');
  at('answer').hidden = true;
  at('shown').hidden = true;
  URL.revokeObjectURL(shown);
  let found;
  try {
    found = await model.predict(file);
  } catch {
    if (mine === latest) complain(`${file.name} cannot be read as a photo. Choose a JPEG, PNG or WebP.`);
    return;
  }
  if (mine !== latest) return;
  at('shown').src = shown = URL.createObjectURL(file);
  at('shown').hidden = false;
  at('ask').firstElementChild.textContent = 'Choose another photo';
  at('products').replaceChildren(...found.products.map(line));
  const { prepare, predict } = found.milliseconds;
  at('timing').textContent = `${whole(prepare)} to prepare the photo, ${whole(predict)} to recognise it.`;
  at('answer').hidden = false;
}

function line({ product, probability }) {
  const made = document.createElement('li'), name = document.createElement('span'), share = document.createElement('span');
  name.textContent = product;
  share.textContent = `${(probability * 100).toFixed(1)} %`;
  made.style.setProperty('--share', `${(probability * 100).toFixed(1)}%`);
  made.append(name, share);
  return made;
}

at('photo').addEventListener('change', event => recognise(event.target.files[0]));
for (const kind of ['dragover', 'dragleave', 'drop']) {
  at('drop').addEventListener(kind, event => {
    event.preventDefault();
    at('drop').classList.toggle('over', kind === 'dragover');
    if (kind === 'drop') recognise(event.dataTransfer.files[0]);
  });
}
begin();
