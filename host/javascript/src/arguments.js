// Arguments, checked before anything is done: errors name them.

/** An argument that is to be an integer of 0 to `max`, as a number. */
export function integer(name, value, max) {
  if (typeof value !== 'number') throw new TypeError(`${name} must be a number, not ${kind(value)}`);
  if (!Number.isInteger(value) || value < 0 || value > max) {
    throw new RangeError(`${name} must be an integer of 0 to ${max}, not ${value}`);
  }
  return value;
}

/** An argument that is to be a number of 64 bits, as a BigInt. */
export function u64(name, value) {
  if (typeof value !== 'bigint' && typeof value !== 'number') {
    throw new TypeError(`${name} must be a BigInt or an integer, not ${kind(value)}`);
  }
  if (typeof value === 'number' && !Number.isSafeInteger(value)) {
    throw new RangeError(`${name} must be an integer, and a BigInt past ${Number.MAX_SAFE_INTEGER}, not ${value}`);
  }
  if (value < 0 || value >= 1n << 64n) throw new RangeError(`${name} must be 0 to 2^64 - 1, not ${value}`);
  return BigInt(value);
}

export function kind(value) {
  return value === null ? 'null' : typeof value === 'object' ? (value.constructor?.name ?? 'an object') : typeof value;
}

/** That options are booleans, and that there are no others. */
export function flags(options, unknown) {
  for (const [name, value] of Object.entries(options)) {
    if (typeof value !== 'boolean') throw new TypeError(`${name} must be a boolean, not ${kind(value)}`);
  }
  const [other] = Object.keys(unknown);
  if (other !== undefined) throw new TypeError(`there is no option ${other}`);
}

/** An argument that is to be a list of numbers of 64 bits. */
export function u64s(name, list) {
  if (!Array.isArray(list) && !(list instanceof BigUint64Array)) {
    throw new TypeError(`${name} must be an array of BigInts, not ${kind(list)}`);
  }
  return BigUint64Array.from(list, (id, at) => u64(`${name}[${at}]`, id));
}

/** What a new file is to be. */
export function fileOptions({ pageSize = 4096, pageCount = 4, format = 1, ...unknown }) {
  flags({}, unknown);
  integer('pageSize', pageSize, 1 << 20);
  if (pageSize < 1024 || (pageSize & (pageSize - 1)) !== 0) {
    throw new RangeError(`pageSize must be a power of two, 1024 to 1048576, not ${pageSize}`);
  }
  integer('format', format, 1);
  return { pageSize, pageCount: u64('pageCount', pageCount), format };
}
