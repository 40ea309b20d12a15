// The inbox keeps itself current, and moves by keyboard.

import { listen, moveByKeys, refreshList, tellWhetherLive } from './live.js';

const holder = document.getElementById('inbox');
const suffix = ' · Countersign';

async function refresh() {
  const query = new URLSearchParams(location.search);
  query.set('tab', holder.dataset.tab);
  const fresh = await refreshList(holder, `/inbox/list?${query}`, 'inbox-list');
  if (fresh) document.title = fresh.dataset.title + suffix;
}

listen('/v1/events', ['approval', 'moved'], refresh, tellWhetherLive);
moveByKeys(holder);
