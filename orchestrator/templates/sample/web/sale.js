// A chunk of shop @VERSION@ that only a page of a sale loads.
export const describe = (number) => `sale ${number}, by the chunk of version @VERSION@`;
