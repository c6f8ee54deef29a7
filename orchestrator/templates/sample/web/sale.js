// Chunk of shop @VERSION@ that only a sale page loads.
export const describe = (number) => `sale ${number}, by the chunk of version @VERSION@`;
