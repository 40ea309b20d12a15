// Keeping a page current. The server's events say only that something moved; what moved is fetched as
// a rendered page. It is parsed by XMLHttpRequest, so that no string ever becomes markup here and
// Trusted Types can forbid it altogether.

export function fetchDocument(method, path, headers = {}, body = null) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, path);
    request.responseType = 'document';
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.addEventListener('load', () => {
      if (request.status === 200 && request.response) resolve(request.response);
      else reject(new Error(lead(request.response) || `The server answered ${request.status}.`));
    });
    request.addEventListener('error', () => reject(new Error('The server does not answer.')));
    request.send(body);
  });
}

function lead(page) {
  return page?.querySelector('p.lead')?.textContent;
}

// Calls `moved` when events come, never more than a few times a second, and once after each time of silence.
export function listen(path, names, moved, status = () => {}) {
  const retryMs = 5_000;
  const gatherMs = 150;
  let timer = null;
  const soon = () => {
    if (timer === null) timer = setTimeout(() => { timer = null; moved(); }, gatherMs);
  };
  const open = (again) => {
    const source = new EventSource(path);
    for (const name of ['message', ...names]) source.addEventListener(name, soon);
    source.addEventListener('open', () => {
      status(true);
      // What moved while nobody listened.
      if (again) soon();
      again = true;
    });
    source.addEventListener('error', () => {
      status(false);
      if (source.readyState === EventSource.CLOSED) {
        setTimeout(() => open(true), retryMs);
        soon();
      }
    });
    addEventListener('pagehide', () => source.close(), { once: true });
  };
  open(false);
  // Back from the back-forward cache, or from a long sleep.
  addEventListener('pageshow', (event) => { if (event.persisted) location.reload(); });
  document.addEventListener('visibilitychange', () => { if (!document.hidden) soon(); });
}

// Puts a freshly rendered list into its holder: new rows are marked, and what had the focus keeps it, but for a field that
// somebody types in. Answers the list, or nothing where there is none.
export async function refreshList(holder, address, id, field = null) {
  let page;
  try {
    page = await fetchDocument('GET', address);
  } catch {
    return null;
  }
  const fresh = page.getElementById(id);
  // Another page came: the session has ended.
  if (!fresh) {
    location.reload();
    return null;
  }
  const focused = document.activeElement?.id;
  const known = new Set(rows(holder).map((a) => a.id));
  holder.replaceChildren(document.adoptNode(fresh));
  for (const a of rows(holder)) if (!known.has(a.id)) a.parentElement.dataset.fresh = '';
  if (focused && focused !== field?.id) document.getElementById(focused)?.focus({ preventScroll: true });
  return fresh;
}

// Says in the page's corner whether it is current.
export function tellWhetherLive(on) {
  const live = document.getElementById('live');
  live.dataset.state = on ? 'on' : 'off';
  live.querySelector('.live-word').textContent = on ? 'Live' : 'Reconnecting';
}

// `j` and `k` move through a list's rows. `other` has the keys that are neither, outside of fields.
export function moveByKeys(holder, other = () => {}) {
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, textarea, select')) return;
    const step = { j: 1, k: -1 }[event.key];
    if (!step) {
      other(event);
      return;
    }
    const links = rows(holder);
    const at = links.indexOf(document.activeElement);
    const next = links[at < 0 ? (step > 0 ? 0 : links.length - 1) : at + step];
    if (next) {
      event.preventDefault();
      next.focus();
    }
  });
}

function rows(holder) {
  return [...holder.querySelectorAll('.row a')];
}
