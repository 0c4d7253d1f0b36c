// What no page may do, asked of the page as the browser has laid it out. Each answers with a list of what it found.
(() => {
  const shown = element => element.checkVisibility({ visibilityProperty: true }) && getComputedStyle(element).clipPath === "none";
  const named = element => `${element.outerHTML.slice(0, 120)} “${element.textContent.trim().replace(/\s+/g, " ").slice(0, 40)}”`;
  const area = box => box.width * box.height;

  // The innermost elements that reach past the page's edge, where the page scrolls sideways.
  function overflow() {
    const { scrollWidth, clientWidth } = document.documentElement;
    if (scrollWidth <= clientWidth) return [];
    const over = [...document.body.querySelectorAll("*")].filter(element => {
      const box = element.getBoundingClientRect();
      return shown(element) && box.width && (box.right > clientWidth + .5 || box.left < -.5);
    });
    const innermost = over.filter(element => !over.some(other => other !== element && element.contains(other)));
    return [`${scrollWidth} of ${clientWidth} px`, ...innermost.slice(0, 10).map(element => `${Math.round(element.getBoundingClientRect().right)} px: ${named(element)}`)];
  }

  // A target is as large as what a finger hits: a label counts for its control, a tile for the link that covers it. So each
  // is touched 21 px from its middle, above, below and on both sides.
  function smallTargets() {
    const reach = 21, small = [];
    for (const target of document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary")) {
      if (!shown(target) || target.disabled) continue;
      target.scrollIntoView({ block: "center", inline: "center", behavior: "instant" });
      const parts = [target, ...(target.labels || [])].filter(shown);
      // Of a link that runs over two lines, its longer one.
      const box = parts.flatMap(part => [...part.getClientRects()]).reduce((one, two) => area(two) > area(one) ? two : one);
      const x = box.left + box.width / 2, y = box.top + box.height / 2;
      if (y < 0 || x < 0) continue;   // the way to skip to the page, until it has the focus
      const hit = (dx, dy) => parts.some(part => part.contains(document.elementFromPoint(x + dx, y + dy)));
      if (![[0, -reach], [0, reach], [-reach, 0], [reach, 0]].every(([dx, dy]) => hit(dx, dy)))
        small.push(`${Math.round(box.width)} × ${Math.round(box.height)} px: ${named(target)}`);
    }
    return small;
  }

  // What has the focus: whether that shows, and whether something lies over it.
  function focus() {
    const element = document.activeElement;
    if (!element || element === document.body) return null;
    const ringed = [element, element.closest(".tile, .opt")].some(each => each && getComputedStyle(each).outlineStyle !== "none");
    const box = element.getBoundingClientRect();
    const top = document.elementFromPoint(box.left + box.width / 2, box.top + Math.min(box.height, 40) / 2);
    const parts = [element, ...(element.labels || [])];
    const covered = shown(element) && !parts.some(part => part.contains(top) || top?.contains(part));
    return { name: named(element), skips: element.matches(".skip") || !document.querySelector(".nav"), ringed, covered };
  }

  window.checks = { overflow, smallTargets, focus };
})();
