// What a JavaScript host makes of each view in a list of cases: the same in Node
// and in the browser.

const WRITTEN = new TextEncoder().encode('scribble');

// A verb, a page, how the file was opened, and what happens after.
const CASE = /^(.*) a (regular page|protected page|staged page|page)( of a file opened to read)?(?: after (.*))?$/;

/**
 * The list anew. A host makes a file anew with `create`, opens it to read with
 * `openToRead`, and gives its bytes; `closed` is called when a file was closed.
 */
export async function outcomes(list, host) {
  const lines = [];
  for (const line of list.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const name = line.slice(0, line.lastIndexOf(':'));
    lines.push(`${name}: ${await outcome(name, host)}`);
  }
  return lines.join('\n');
}

async function outcome(name, host) {
  const [, verb, target, readOnly, event] = CASE.exec(name);
  let file = await host.create();
  const [regular, pages] = file.commit((tx) => {
    const made = tx.allocProtected(2);
    for (const id of made) tx.stage(id).write(0, new TextEncoder().encode('first'));
    return [tx.alloc(2), made];
  });
  if (readOnly) {
    file.close();
    file = await host.openToRead();
  }
  let view;
  if (target === 'staged page') {
    const stop = new Error('rolled back');
    const closes = event === 'the file was closed';
    try {
      file.commit((tx) => {
        view = tx.stage(pages[0]);
        if (event === 'it was freed') {
          tx.freeProtected(pages.slice(0, 1));
          throw Object.assign(stop, { result: used(file, view, verb, host) });
        }
        if (event === undefined) throw Object.assign(stop, { result: used(file, view, verb, host) });
        if (event === 'its rollback') throw stop;
        if (closes) file.close();
      });
    } catch (error) {
      if (error !== stop && !(closes && error.tag === 'closed')) throw error;
      if (stop.result !== undefined) {
        file.close();
        return stop.result;
      }
    }
    if (closes) host.closed();
  } else {
    view = target === 'protected page' ? file.viewProtected(pages[0]) : file.view(regular[0]);
    if (event) happens(file, event, target, regular, pages, host);
  }
  const result = used(file, view, verb, host);
  file.close();
  return result;
}

function used(file, view, verb, host) {
  const before = host.bytes();
  try {
    if (verb === 'read') view.read(0, 16);
    else if (verb === 'read past the end of') view.read(1010, 16);
    else if (verb === 'write') view.write(0, WRITTEN);
    else if (verb === 'write nothing to') view.write(0, new Uint8Array());
    else if (verb === 'write past the end of') view.write(1020, WRITTEN);
    else throw new Error(verb);
    return 'done';
  } catch (error) {
    const after = host.bytes();
    if (before.some((byte, at) => byte !== after[at])) throw new Error('the file changed', { cause: error });
    if (error instanceof RangeError) return 'out-of-bounds';
    if (error.tag === undefined) throw error;
    return error.tag;
  }
}

function happens(file, event, target, regular, pages, host) {
  const rolledBack = new Error('rolled back');
  const rollback = (change) => {
    try {
      file.commit((tx) => {
        change(tx);
        throw rolledBack;
      });
    } catch (error) {
      if (error !== rolledBack) throw error;
    }
  };
  const change = (id) => file.commit((tx) => tx.stage(id).write(0, WRITTEN));
  switch (event) {
    case 'a commit of nothing':
      return file.commit(() => {});
    case 'a rollback':
      return rollback((tx) => tx.alloc(1));
    case 'a free that was refused':
      return file.commit((tx) => {
        try {
          tx.free([regular[0], regular[0]]);
        } catch (error) {
          if (error.tag !== 'duplicate') throw error;
        }
      });
    case 'it was freed':
      return file.commit((tx) =>
        target === 'regular page' ? tx.free(regular.slice(0, 1)) : tx.freeProtected(pages.slice(0, 1)),
      );
    case 'a commit':
    case 'a commit of another':
      return change(pages[1]);
    case 'a commit of it':
      return change(pages[0]);
    case 'the file was closed':
      file.close();
      return host.closed();
    default:
      throw new Error(event);
  }
}
