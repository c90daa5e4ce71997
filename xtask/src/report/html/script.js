
"use strict";
(() => {
  const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));
  const one = (selector) => document.querySelector(selector);
  const tasks = all("details.task");

  // Ages count from the reader's clock. What nobody looks at needs none.
  const age = (seconds) => {
    if (seconds < 60) return "less than a minute";
    if (seconds < 3600) return Math.floor(seconds / 60) + " min";
    if (seconds < 86400) return Math.floor(seconds / 3600) + " h";
    return Math.floor(seconds / 86400) + " d";
  };
  const tell = (root) => {
    for (const span of all(".age", root)) {
      const at = Date.parse(span.previousElementSibling.dateTime);
      const seconds = (Date.now() - at) / 1000;
      if (seconds >= 0) span.textContent = "(" + age(seconds) + " ago)";
    }
  };
  for (const root of all("header, main > section:not(#tasks)")) tell(root);
  // In large plans the inside of a task is a text, as the page says it to who runs no script, until it is opened.
  const unpack = (task) => {
    const packed = task.querySelector(":scope > noscript");
    if (packed) packed.outerHTML = packed.textContent;
  };
  one("#tasks").addEventListener("toggle", (event) => {
    if (!event.target.open) return;
    if (event.target.matches(".task")) unpack(event.target);
    tell(event.target);
  }, true);

  // Choosing among tasks.
  const form = one("#filter");
  if (form) {
    const words = one("#words");
    const found = one("#found");
    const [phase, prerequisite] = [one("#phase"), one("#prerequisite")];
    const boxes = all("input[name=state]", form);
    const phases = all("#tasks > .phase").map((section) => ({ section, tasks: all("details.task", section) }));
    const entities = { "&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'" };
    const said = (task) => {
      const packed = task.querySelector(":scope > noscript");
      if (!packed) return task.textContent.toLowerCase();
      const text = packed.textContent.replace(/<[^>]*>/g, " ").replace(/&[a-z0-9#]+;/g, (entity) => entities[entity] || entity);
      return (task.firstElementChild.textContent + " " + text).toLowerCase();
    };
    let texts = null;
    const choose = () => {
      const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
      const states = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
      const requires = prerequisite ? prerequisite.value : "";
      if (wanted.length && !texts) {
        texts = new Map(tasks.map((task) => [task, said(task)]));
      }
      let shown = 0;
      for (const group of phases) {
        let some = false;
        for (const task of group.tasks) {
          const fits =
            (!states.size || states.has(task.dataset.state)) &&
            (!phase.value || task.dataset.phase === phase.value) &&
            (!requires || task.dataset.requires.split(" ").includes(requires)) &&
            wanted.every((word) => texts.get(task).includes(word));
          if (task.hidden === fits) task.hidden = !fits;
          if (fits) {
            shown += 1;
            some = true;
          }
        }
        group.section.hidden = !some;
      }
      found.textContent = shown + " of " + tasks.length + (tasks.length === 1 ? " task" : " tasks");
    };
    let timer = 0;
    words.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(choose, tasks.length > 1000 ? 120 : 0);
    });
    form.addEventListener("change", choose);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(choose, 0));
    one("#unfold").addEventListener("click", () => {
      // So many at once as a page can carry.
      for (const task of tasks.filter((task) => !task.hidden).slice(0, 200)) task.open = true;
    });
    for (const tile of all(".tile")) {
      tile.addEventListener("click", () => {
        form.reset();
        for (const box of boxes) box.checked = box.value === tile.dataset.state;
        choose();
      });
    }
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const typing = event.target.closest("input, select, textarea");
      if (event.key === "/" && !typing) {
        event.preventDefault();
        words.focus();
        words.select();
      } else if (event.key === "Escape" && event.target === words) {
        form.reset();
      } else if (event.target.matches("details.task > summary") && ["j", "k", "ArrowDown", "ArrowUp"].includes(event.key)) {
        const shown = tasks.filter((task) => !task.hidden);
        const to = shown.indexOf(event.target.parentElement) + (event.key === "j" || event.key === "ArrowDown" ? 1 : -1);
        if (shown[to]) {
          event.preventDefault();
          shown[to].querySelector("summary").focus();
        }
      }
    });
    form.hidden = false;
    choose();

    // A link to a task opens it, whatever was chosen before.
    const show = (id) => {
      const task = id && document.getElementById(id);
      if (!task || !task.matches("details.task, .phase")) return;
      if (task.hidden || task.closest("[hidden]")) form.reset();
      setTimeout(() => {
        if (task.matches("details")) task.open = true;
        task.scrollIntoView();
        const summary = task.querySelector("summary");
        if (summary) summary.focus({ preventScroll: true });
      }, 0);
    };
    const here = () => show(decodeURIComponent(location.hash.slice(1)));
    window.addEventListener("hashchange", here);
    here();
    for (const drawn of all(".attempt[data-task]")) {
      drawn.addEventListener("click", () => {
        location.hash = drawn.dataset.task;
      });
    }
    // A box of the graph begins with the id of its task.
    for (const box of all(".graph-node")) {
      box.addEventListener("click", () => {
        const label = box.querySelector("text").textContent;
        const task = tasks.find((task) => task.querySelector("b").textContent === label);
        if (task) location.hash = task.id;
      });
    }
  }

  // Drawings grow and shrink by buttons, keys and the wheel, and are moved with the pointer.
  for (const canvas of all(".canvas")) {
    const drawing = canvas.querySelector("svg");
    const tools = document.createElement("div");
    tools.className = "tools";
    let scale = 1;
    const natural = drawing.getBoundingClientRect().width || 800;
    const zoom = (to, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) => {
      const next = Math.min(16, Math.max(0.1, to));
      const by = next / scale;
      const [left, top] = [(canvas.scrollLeft + x) * by - x, (canvas.scrollTop + y) * by - y];
      scale = next;
      drawing.style.width = natural * scale + "px";
      drawing.style.minWidth = "0";
      if (drawing.hasAttribute("viewBox")) drawing.style.height = "auto";
      canvas.scrollLeft = left;
      canvas.scrollTop = top;
    };
    const fit = () => {
      scale = 1;
      for (const name of ["width", "height", "minWidth"]) drawing.style[name] = "";
    };
    const button = (label, name, act) => {
      const made = document.createElement("button");
      made.type = "button";
      made.textContent = label;
      made.setAttribute("aria-label", name);
      made.addEventListener("click", act);
      tools.append(made);
    };
    const title = canvas.getAttribute("aria-label");
    button("+", "Larger: " + title, () => zoom(scale * 1.5));
    button("−", "Smaller: " + title, () => zoom(scale / 1.5));
    if (drawing.hasAttribute("viewBox")) {
      button("Fit", "Fit: " + title, () => zoom(canvas.clientWidth / natural, 0, 0));
    }
    button("Reset", "Reset: " + title, fit);
    canvas.before(tools);
    canvas.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const act = { "+": () => zoom(scale * 1.5), "-": () => zoom(scale / 1.5), 0: fit }[event.key];
      if (act) {
        event.preventDefault();
        act();
      }
    });
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      const box = canvas.getBoundingClientRect();
      zoom(scale * Math.exp(-event.deltaY / 300), event.clientX - box.left, event.clientY - box.top);
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.pointerType !== "mouse") return;
      const [x, y, left, top] = [event.clientX, event.clientY, canvas.scrollLeft, canvas.scrollTop];
      const move = (moved) => {
        canvas.scrollLeft = left + x - moved.clientX;
        canvas.scrollTop = top + y - moved.clientY;
      };
      window.addEventListener("pointermove", move);
      window.addEventListener("pointerup", () => window.removeEventListener("pointermove", move), { once: true });
    });
  }

  // Commands can be copied where the page may write to the clipboard.
  if (navigator.clipboard) {
    for (const block of all("#attention pre.commands, #prerequisites pre.commands")) {
      const text = block.textContent;
      const copy = document.createElement("button");
      copy.type = "button";
      copy.className = "copy";
      copy.textContent = "Copy";
      copy.addEventListener("click", () => {
        navigator.clipboard.writeText(text).then(() => {
          copy.textContent = "Copied";
          setTimeout(() => { copy.textContent = "Copy"; }, 1500);
        }, () => { copy.textContent = "Not permitted"; });
      });
      block.append(copy);
    }
  }
})();
