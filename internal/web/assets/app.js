// Keeps an open page current. The stream only says that something changed; the
// page is then asked for again and its live parts are brought up to it in place,
// so that focus, selection and scroll stay where they are.
(() => {
  'use strict';
  const $ = (id) => document.getElementById(id);

  // Ages. The server's clock counts, not the browser's. The words are those of
  // funcs.go.
  const clock = () => Date.parse($('now').dateTime) + (performance.now() - loaded);
  let loaded = performance.now();
  const span = (s) => {
    if (s < 0) return 'in ' + span(-s);
    if (s < 60) return Math.floor(s) + ' s';
    if (s < 7200) return Math.floor(s / 60) + ' min';
    if (s < 172800) return Math.floor(s / 3600) + ' h';
    return Math.floor(s / 86400) + ' d';
  };
  const words = { span, ago: (s) => s < 0 ? span(s) : s < 5 ? 'just now' : span(s) + ' ago' };
  const age = () => {
    const now = clock();
    for (const t of document.querySelectorAll('time[data-age]')) {
      const w = words[t.dataset.age]((now - Date.parse(t.dateTime)) / 1000);
      if (t.firstChild.data !== w) t.firstChild.data = w;
    }
  };

  // morph makes one node like another, changing only what differs. Rows are
  // known by data-key, so that what has the focus stays what it was.
  const morph = (have, want) => {
    if (have.nodeName !== want.nodeName) { have.replaceWith(want); return; }
    if (have.nodeType !== Node.ELEMENT_NODE) {
      if (have.data !== want.data) have.data = want.data;
      return;
    }
    for (const a of want.attributes) if (have.getAttribute(a.name) !== a.value) have.setAttribute(a.name, a.value);
    for (const a of [...have.attributes]) if (!want.hasAttribute(a.name) && a.name !== 'open') have.removeAttribute(a.name);
    const keyed = new Map();
    for (const c of have.children) if (c.dataset.key) keyed.set(c.dataset.key, c);
    let at = have.firstChild;
    for (const w of [...want.childNodes]) {
      const key = w.dataset && w.dataset.key;
      const h = key ? keyed.get(key) : at && at.dataset && at.dataset.key ? null : at;
      if (!h) { have.insertBefore(w, at); continue; }
      if (h === at) at = at.nextSibling; else have.insertBefore(h, at);
      morph(h, w);
    }
    while (at) { const next = at.nextSibling; at.remove(); at = next; }
  };

  // What the page says of itself.
  let lost = false, shut = false;
  const say = (state) => {
    shut = state === 'closed';
    if (state === 'lost' && !lost) $('lostat').textContent = new Date(clock()).toISOString().slice(11, 19) + ' UTC';
    lost = state === 'lost';
    $('lost').hidden = !lost;
    $('closed').hidden = !shut;
    const good = state === 'live';
    $('livest').className = good ? 'st ok' : 'st warn';
    $('livest').firstElementChild.textContent = good ? '●' : '~';
    $('livest').lastElementChild.textContent = good ? 'live' : 'not live';
  };

  let busy = false, again = false, missed = false;
  const refresh = async () => {
    if (document.hidden) { missed = true; return; }
    if (busy) { again = true; return; }
    busy = true;
    try {
      const r = await fetch(location.href, { headers: { Accept: 'text/html' } });
      if (r.status === 401) { say('closed'); return; }
      if (r.status >= 500) throw new Error(r.status);
      const page = new DOMParser().parseFromString(await r.text(), 'text/html');
      const parts = [...document.querySelectorAll('[data-live]')].map((p) => [p, page.getElementById(p.id)]);
      if (parts.some(([, fresh]) => !fresh)) { location.reload(); return; } // it has become another page
      for (const [part, fresh] of parts) morph(part, fresh);
      loaded = performance.now();
      age();
      say('live');
    } catch {
      say('lost');
    } finally {
      busy = false;
      if (again) { again = false; refresh(); }
    }
  };
  document.addEventListener('visibilitychange', () => { if (!document.hidden && missed) { missed = false; refresh(); } });

  // One stream for all tabs: browsers keep few connections to a server, and a
  // stream holds one. Whoever has the lock tells the others. The stream says the
  // server's mark; a page that was made at another one is asked for again.
  const radio = 'BroadcastChannel' in window ? new BroadcastChannel('muster') : null;
  let heard = performance.now(), stream = null, mark = '';
  const hear = (word) => {
    heard = performance.now();
    if (word === 'lost') { if (!shut) say('lost'); }
    else if (word !== $('now').dataset.mark || lost || shut) refresh();
    else say('live');
  };
  const tell = (word) => { if (radio) radio.postMessage(word); hear(word); };
  const open = () => {
    stream = new EventSource('/live');
    stream.addEventListener('mark', (e) => { mark = e.data; tell(mark); });
    stream.onerror = () => {
      tell('lost');
      if (stream.readyState !== EventSource.CLOSED) return; // it tries again by itself
      refresh(); // says whether the page is closed to us
      setTimeout(open, 5000);
    };
  };
  if (radio) {
    radio.onmessage = (e) => {
      if (e.data !== 'who') hear(e.data);
      else if (stream && stream.readyState === EventSource.OPEN && mark) radio.postMessage(mark);
    };
    radio.postMessage('who');
  }
  if (radio && navigator.locks) navigator.locks.request('muster-live', () => new Promise(open)); // held until the tab closes
  else open();
  setInterval(() => {
    age();
    if (performance.now() - heard > 15000 && !shut) say('lost');
  }, 1000);

  // "/" goes to the search box.
  document.addEventListener('keydown', (e) => {
    if (e.key === '/' && !e.ctrlKey && !e.metaKey && !e.altKey && !/^(INPUT|TEXTAREA|SELECT)$/.test(e.target.tagName)) {
      e.preventDefault();
      $('q').focus();
    }
  });
})();
