// The trail keeps itself current while its first page is looked at, and moves by keyboard.

import { listen, moveByKeys, refreshList, tellWhetherLive } from './live.js';

const holder = document.getElementById('trail');
const live = document.getElementById('live');
const field = document.getElementById('q');
// Permitted activity sends no event of its own; and the index follows by a moment.
const againMs = 3_000;

async function refresh() {
  if (holder.dataset.first === undefined || document.hidden) return;
  await refreshList(holder, `/trail/list${location.search}`, 'trail-list', field);
}

if (holder.dataset.first === undefined) {
  live.dataset.state = 'off';
  live.querySelector('.live-word').textContent = 'Older page';
} else {
  listen('/v1/events', ['approval', 'moved'], refresh, tellWhetherLive);
  setInterval(refresh, againMs);
}

moveByKeys(holder, (event) => {
  if (event.key !== '/') return;
  event.preventDefault();
  field.focus();
  field.select();
});
