// A React hook: const { status, recognise, error } = useProductModel('/ml-models/current.json');

import { useCallback, useEffect, useRef, useState } from 'react';
import { createProductModel } from './product-model.js';

export function useProductModel(address) {
  const [state, setState] = useState({ status: 'loading', version: '', error: null });
  const model = useRef(null);
  useEffect(() => {
    model.current = createProductModel(address, { onChange: setState });
    return () => model.current.close();
  }, [address]);
  const recognise = useCallback(photo => model.current.recognise(photo), []);
  return { ...state, recognise };
}
