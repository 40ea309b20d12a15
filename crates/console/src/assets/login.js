import { attempt, call } from './api.js';
import { sign } from './passkey.js';

const form = document.getElementById('login');
form.addEventListener('submit', (event) => {
  event.preventDefault();
  attempt(form, async () => {
    const options = await call('POST', '/v1/login/options');
    await call('POST', '/v1/login', { credential: await sign(options) });
    location.replace(form.dataset.next);
  });
});
form.querySelector('button').focus();
