// The trail keeps itself current while its first page is looked at, and moves by keyboard.

import { fetchDocument, listen } from './live.js';

const holder = document.getElementById('trail');
const live = document.getElementById('live');
const field = document.getElementById('q');
// Permitted activity sends no event of its own; and the index follows by a moment.
const againMs = 3_000;

async function refresh() {
  if (holder.dataset.first === undefined || document.hidden) return;
  let page;
  try {
    page = await fetchDocument('GET', `/trail/list${location.search}`);
  } catch {
    return;
  }
  const fresh = page.getElementById('trail-list');
  // Another page came: the session has ended.
  if (!fresh) return void location.reload();
  const focused = document.activeElement?.id;
  const known = new Set([...holder.querySelectorAll('.row a')].map((a) => a.id));
  holder.replaceChildren(document.adoptNode(fresh));
  for (const a of holder.querySelectorAll('.row a')) if (!known.has(a.id)) a.parentElement.dataset.fresh = '';
  if (focused && focused !== 'q') document.getElementById(focused)?.focus({ preventScroll: true });
}

if (holder.dataset.first === undefined) {
  live.dataset.state = 'off';
  live.querySelector('.live-word').textContent = 'Older page';
} else {
  listen('/v1/events', ['approval', 'moved'], refresh, (on) => {
    live.dataset.state = on ? 'on' : 'off';
    live.querySelector('.live-word').textContent = on ? 'Live' : 'Reconnecting';
  });
  setInterval(refresh, againMs);
}

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, textarea, select')) return;
  if (event.key === '/') {
    event.preventDefault();
    field.focus();
    field.select();
    return;
  }
  const step = { j: 1, k: -1 }[event.key];
  if (!step) return;
  const links = [...holder.querySelectorAll('.row a')];
  const at = links.indexOf(document.activeElement);
  const next = links[at < 0 ? (step > 0 ? 0 : links.length - 1) : at + step];
  if (next) {
    event.preventDefault();
    next.focus();
  }
});
