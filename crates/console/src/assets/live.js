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
