// Keeps an open page current. The stream only says that something changed; the
// page is then asked for again and its live parts are exchanged.
(() => {
  'use strict';
  const state = document.getElementById('livest');
  const say = (good) => {
    if (!state) return;
    state.className = good ? 'st ok' : 'st warn';
    state.lastChild.textContent = good ? 'live' : 'not live: what you see may be old';
  };
  let busy = false, again = false;
  const refresh = async () => {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const r = await fetch(location.href, { headers: { Accept: 'text/html' } });
      if (!r.ok) throw new Error(r.status);
      const page = new DOMParser().parseFromString(await r.text(), 'text/html');
      for (const part of document.querySelectorAll('[data-live]')) {
        const fresh = page.getElementById(part.id);
        if (fresh && fresh.innerHTML !== part.innerHTML) part.replaceChildren(...fresh.childNodes);
      }
      say(true);
    } catch { say(false); }
    busy = false;
    if (again) { again = false; refresh(); }
  };
  if (document.querySelector('[data-live]')) {
    const stream = new EventSource('/live');
    stream.addEventListener('changed', refresh);
    stream.onopen = () => say(true);
    stream.onerror = () => say(false);
  }
  // "/" goes to the filter.
  document.addEventListener('keydown', (e) => {
    if (e.key === '/' && !/^(INPUT|TEXTAREA|SELECT)$/.test(e.target.tagName)) {
      e.preventDefault();
      document.getElementById('q')?.focus();
    }
  });
})();
