// Keeps the shop's recognition model loaded, warm and current; see docs/how-to/use-models-in-your-code.md.
// Copy it beside ml/web/predict.js. It has no dependencies.

import { load } from './predict.js';

const CHECK_MINUTES = 30;

/**
 * Load the model that `address` (…/ml-models/current.json) points to, and follow it when a new one is published.
 * `onChange` gets `{ status: 'loading' | 'ready' | 'unavailable', version, error }` whenever that changes.
 * A model that cannot be loaded leaves the one before in use; without one, the status is 'unavailable': show the search.
 */
export function createProductModel(address, { onChange = () => {}, checkMinutes = CHECK_MINUTES, cacheName = 'product-model' } = {}) {
  let model = null, version = '', checking = null, timer = 0, closed = false;
  const tell = (status, error = null) => { if (!closed) onChange({ status, version, error }); };

  async function check() {
    const pointer = await readPointer(address, cacheName);
    if (pointer.version === version || closed) return;
    const next = await load(address.slice(0, address.indexOf('ml-models/')) + pointer.model);
    await next.warmUp();
    await model?.close();
    [model, version] = [next, pointer.version];
    tell('ready');
  }

  const refresh = () => (checking ??= check()
    .catch(error => tell(model ? 'ready' : 'unavailable', error))
    .finally(() => { checking = null; }));

  tell('loading');
  refresh();
  timer = setInterval(refresh, checkMinutes * 60_000);
  return {
    refresh,
    get version() { return version; },
    async recognise(photo) {
      if (!model) await refresh();
      if (!model) throw new Error('product recognition is not available');
      return model.predict(photo);
    },
    close() {
      closed = true;
      clearInterval(timer);
      model?.close();
    },
  };
}

/** The pointer; offline the last one that was seen, so that a page works without a network after its first load. */
async function readPointer(address, cacheName) {
  const cache = await globalThis.caches?.open(cacheName);
  try {
    const response = await fetch(address, { cache: 'no-cache' }); // sends If-None-Match: 304 costs a few bytes
    if (!response.ok) throw new Error(`${address}: HTTP ${response.status}`);
    await cache?.put(address, response.clone());
    return await response.json();
  } catch (error) {
    const kept = await cache?.match(address);
    if (!kept) throw error;
    return kept.json();
  }
}
