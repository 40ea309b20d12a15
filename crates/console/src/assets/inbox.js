// The inbox keeps itself current, and moves by keyboard.

import { fetchDocument, listen } from './live.js';

const holder = document.getElementById('inbox');
const live = document.getElementById('live');
const suffix = ' · Countersign';

async function refresh() {
  const query = new URLSearchParams(location.search);
  query.set('tab', holder.dataset.tab);
  let page;
  try {
    page = await fetchDocument('GET', `/inbox/list?${query}`);
  } catch {
    return;
  }
  const fresh = page.getElementById('inbox-list');
  // Another page came: the session has ended.
  if (!fresh) return void location.reload();
  const focused = document.activeElement?.id;
  const known = new Set([...holder.querySelectorAll('.row a')].map((a) => a.id));
  holder.replaceChildren(document.adoptNode(fresh));
  for (const a of holder.querySelectorAll('.row a')) if (!known.has(a.id)) a.parentElement.dataset.fresh = '';
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  document.title = fresh.dataset.title + suffix;
}

listen('/v1/events', ['approval', 'moved'], refresh, (on) => {
  live.dataset.state = on ? 'on' : 'off';
  live.querySelector('.live-word').textContent = on ? 'Live' : 'Reconnecting';
});

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, textarea, select')) return;
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
