// The page: hands files to the worker, and shows what comes back.

const worker = new Worker(new URL('worker.js', import.meta.url), { type: 'module' });
const element = (id) => document.getElementById(id);

element('file').addEventListener('change', ({ target }) => {
  if (target.files.length > 0) worker.postMessage({ show: target.files[0] });
});
element('place').addEventListener('dragover', (event) => event.preventDefault());
element('place').addEventListener('drop', (event) => {
  event.preventDefault();
  if (event.dataTransfer.files.length > 0) worker.postMessage({ show: event.dataTransfer.files[0] });
});
element('create').addEventListener('click', () => worker.postMessage({ create: 'hello from the browser' }));

worker.addEventListener('message', ({ data: { problem, name, summary, kinds, map, file } }) => {
  element('problem').textContent = problem ?? '';
  element('shown').hidden = problem !== undefined;
  element('save').hidden = file === undefined;
  if (problem !== undefined) return;
  element('name').textContent = name;
  rows(element('summary'), summary);
  element('map').textContent = map;
  rows(element('kinds'), kinds);
  if (file) {
    URL.revokeObjectURL(element('save').href);
    element('save').href = URL.createObjectURL(file);
    element('save').download = name;
  }
});

function rows(table, entries) {
  table.replaceChildren(
    ...entries.map(([name, value]) => {
      const row = document.createElement('tr');
      const [head, cell] = [document.createElement('th'), document.createElement('td')];
      head.scope = 'row';
      head.textContent = name;
      cell.textContent = value;
      row.append(head, cell);
      return row;
    }),
  );
}
