/* Before anything is drawn: the theme and density that this browser remembers. Not deferred, so that nothing flashes. */
for (const key of ["theme", "density"]) {
  try { const kept = localStorage.getItem(key); if (kept) document.documentElement.dataset[key] = kept; } catch { /* storage is off */ }
}
