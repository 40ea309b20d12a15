import { attempt, call } from './api.js';

const form = document.getElementById('cli');
form.addEventListener('submit', (event) => {
  event.preventDefault();
  attempt(form, async () => {
    await call('POST', '/v1/cli-logins/confirm', { code: form.elements.code.value.trim().toUpperCase().replace(/[^A-Z]/g, '') });
    form.hidden = true;
    const done = document.getElementById('confirmed');
    done.hidden = false;
    done.focus();
  });
});
