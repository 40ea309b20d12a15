// What every page does: times tick, things can be copied, people sign out.

import { attempt, call, say } from './api.js';

const root = document.documentElement;
// How far this device's clock is from the server's, in milliseconds.
const skew = root.dataset.now ? Number(root.dataset.now) - Date.now() : 0;

// The two largest units; `words.rs` says it in the same words.
function length(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  const [d, h, m] = [Math.floor(s / 86400), Math.floor(s / 3600) % 24, Math.floor(s / 60) % 60];
  const two = (large, unit, small, smaller) => (small ? `${large} ${unit} ${small} ${smaller}` : `${large} ${unit}`);
  if (d) return two(d, 'd', h, 'h');
  if (h) return two(h, 'h', m, 'min');
  if (m >= 10) return `${m} min`;
  return m ? two(m, 'min', s % 60, 's') : `${s} s`;
}

// How long ago, in the largest unit.
function past(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 5) return 'just now';
  if (s < 60) return `${s} s ago`;
  if (s < 3600) return `${Math.floor(s / 60)} min ago`;
  return s < 172800 ? `${Math.floor(s / 3600)} h ago` : `${Math.floor(s / 86400)} d ago`;
}

function tick() {
  const now = Date.now() + skew;
  for (const time of document.querySelectorAll('time[data-until]')) {
    const left = Number(time.dataset.until) - now;
    set(time, length(left));
    time.toggleAttribute('data-soon', left < 120_000);
  }
  for (const time of document.querySelectorAll('time[data-since]')) set(time, past(now - Number(time.dataset.since)));
}

function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

setInterval(() => { if (!document.hidden) tick(); }, 1_000);
document.addEventListener('visibilitychange', tick);
tick();

document.addEventListener('click', async (event) => {
  const button = event.target.closest('button');
  if (!button) return;
  if (button.dataset.copy !== undefined) {
    const source = document.getElementById(button.dataset.copy);
    const words = [...source.childNodes].filter((node) => node !== button).map((node) => node.textContent).join('').trim();
    try {
      await navigator.clipboard.writeText(words);
      const before = button.textContent;
      button.textContent = 'Copied';
      setTimeout(() => { button.textContent = before; }, 1_500);
    } catch {
      say('The browser does not let this page copy. Select the text instead.', 'bad');
    }
  }
  if (button.dataset.do === 'sign-out') {
    await attempt(button, async () => {
      await call('POST', '/v1/logout');
      location.assign('/login');
    });
  }
});
