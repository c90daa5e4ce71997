// Pictures of every report, made from the sample. They are compared with those of the page that shows them: by name and
// size, since two browsers do not draw the same bytes.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { close, launch, test } from "./browser.mjs";
import { sample } from "./project.mjs";

const WIDTH = 1024;
/** What a picture may have, in bytes: they are part of every clone. */
const MOST = 150_000;

const here = import.meta.dirname;
const { IMAGES: images, KEPT: kept, ROOT: root } = process.env;
const folder = mkdtempSync(join(tmpdir(), "report-pictures-"));
const project = sample(join(folder, "sample"));
const browser = await launch();
const page = await browser.newPage({ viewport: { width: WIDTH, height: 900 } });
const made = new Set();
/** What the page shows, in its order. */
const named = [...readFileSync(join(root, "docs/reports.md"), "utf8").matchAll(/\]\(images\/([\w-]+)\.png\)/g)].map(([, name]) => name);

const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

const SANS = "font-family: 'DejaVu Sans', sans-serif";
const MONO = "font-family: 'DejaVu Sans Mono', monospace";

/** Like a page of a repository. */
const PAGE = `
body { margin: 0; padding: 24px 40px; ${SANS}; font-size: 14px; line-height: 21px; color: #1f2328; background: #fff }
h1 { font-size: 26px; line-height: 34px } h2 { font-size: 20px; line-height: 26px } h3 { font-size: 16px }
h1, h2 { border-bottom: 1px solid #d1d9e0; padding-bottom: 6px; margin: 20px 0 12px }
hr { height: 3px; border: 0; background: #d1d9e0 }
code { ${MONO}; font-size: 12px; background: #eff1f3; border-radius: 4px; padding: 2px 4px }
pre { background: #f6f8fa; border-radius: 6px; padding: 12px; overflow: hidden } pre code { background: none; padding: 0 }
ul, ol { padding-left: 28px } li { margin: 3px 0 } li:has(> input) { list-style: none } li > input { margin-left: -20px }
table { border-collapse: collapse } td, th { border: 1px solid #d1d9e0; padding: 5px 12px }
`;

/** Like a terminal. */
const TERMINAL = `
body { margin: 0; padding: 20px 24px; background: #0d1117; color: #d7dde4 }
pre { margin: 0; ${MONO}; font-size: 13px; line-height: 19px }
`;

/** Like an editor. */
const EDITOR = `
body { margin: 0; padding: 20px 24px; background: #f6f8fa; color: #1f2328 }
pre { margin: 0; ${MONO}; font-size: 12px; line-height: 18px }
`;

/** Takes a picture of a page: all of it, or so many pixels. */
async function picture(name, style, body, { height, width = WIDTH } = {}) {
  await page.setViewportSize({ width, height: height ?? 100 });
  await page.setContent(`<!doctype html><meta charset="utf-8"><style>${style}</style>${body}`);
  await taken(name, height);
}

async function taken(name, height) {
  await page.screenshot({ path: join(images, `${name}.png`), fullPage: height === undefined });
  made.add(name);
}

/** What a terminal shows of text with colours. */
function coloured(text) {
  const colours = ["#484f58", "#ff7b72", "#3fb950", "#d29922", "#58a6ff", "#bc8cff", "#39c5cf", "#b1bac4"];
  const bright = ["#6e7681", "#ffa198", "#56d364", "#e3b341", "#79c0ff", "#d2a8ff", "#56d4dd", "#ffffff"];
  let style = {};
  return text
    .split(/\u001b\[([\d;]*)m/)
    .map((part, i) => {
      if (i % 2 === 0) {
        const css = Object.entries(style).map(([key, value]) => `${key}: ${value}`).join("; ");
        return `<span style="${css}">${escaped(part)}</span>`;
      }
      for (const code of part.split(";").map(Number)) {
        if (code === 0) style = {};
        else if (code === 1) style["font-weight"] = "bold";
        else if (code === 2) style.opacity = ".65";
        else if (code === 22) style = { ...style, "font-weight": "normal", opacity: "1" };
        else if (code >= 30 && code < 38) style.color = colours[code - 30];
        else if (code >= 90 && code < 98) style.color = bright[code - 90];
        else if (code === 39) delete style.color;
      }
      return "";
    })
    .join("");
}

/** A call in a terminal and what it prints. */
const session = (name, words, codes) =>
  test(`${name}: cargo xtask ${words}`, async () => {
    const text = project.xtask(`--color always ${words}`, codes).replaceAll(project.folder, "~");
    assert.ok(text.includes("\u001b["), "it has no colour");
    await picture(name, TERMINAL, `<pre>$ cargo xtask ${escaped(words)}\n${coloured(text)}</pre>`, { width: 800 });
  });

/** The beginning of a report that programs read. */
const source = (name, format, wanted) =>
  test(`${name}: report --format ${format}`, async () => {
    const text = project.xtask(`report --format ${format}`);
    assert.ok(text.includes(wanted), `it has no ${wanted}`);
    const lines = text.split("\n").slice(0, 34).map((line) => (line.length > 132 ? `${line.slice(0, 131)}…` : line));
    await picture(name, EDITOR, `<pre>${escaped(lines.join("\n"))}</pre>`, { height: 652 });
  });

/** A drawing, in a page that is as large as it is. */
const drawing = (name, words) =>
  test(`${name}: ${words}`, async () => {
    const svg = project.xtask(words);
    const [, width, height] = svg.match(/width="(\d+)" height="(\d+)"/).map(Number);
    const address = `data:image/svg+xml;base64,${Buffer.from(svg).toString("base64")}`;
    await picture(name, "body { margin: 0 } img { display: block }", `<img src="${address}">`, { width, height });
    const { complete, naturalWidth } = await page.evaluate(() => {
      const { complete, naturalWidth } = document.querySelector("img");
      return { complete, naturalWidth };
    });
    assert.deepEqual({ complete, naturalWidth }, { complete: true, naturalWidth: width });
  });

await session("status", "status");
await session("doctor", "doctor", [0, 3]);
await session("explain", "explain T010");

await test("markdown: report", async () => {
  const extensions = ["table", "strikethrough", "autolink", "tagfilter", "tasklist"].flatMap((name) => ["-e", name]);
  const html = execFileSync("cmark-gfm", ["--unsafe", ...extensions], { input: project.xtask("report"), encoding: "utf8" });
  await picture("markdown", PAGE, html, { height: 1000 });
  await page.addScriptTag({ path: join(here, "node_modules/mermaid/dist/mermaid.min.js") });
  await page.setViewportSize({ width: WIDTH, height: 520 });
  await page.evaluate(async () => {
    window.mermaid.initialize({ startOnLoad: false, securityLevel: "strict" });
    const code = document.querySelector("code.language-mermaid");
    const { svg } = await window.mermaid.render("drawing", code.textContent);
    const box = document.createElement("div");
    box.innerHTML = svg;
    code.parentElement.replaceWith(box);
    const heading = [...document.querySelectorAll("h2")].find((one) => one.textContent === "Task Graph");
    heading.style.marginTop = "0";
    while (heading.previousSibling) heading.previousSibling.remove();
  });
  await taken("markdown-graph", 520);
});

if (named.includes("html")) {
  await test("html: report --format html", async () => {
    project.xtask("report --format html --out report.html");
    await page.setViewportSize({ width: WIDTH, height: 1000 });
    await page.goto(`file://${join(project.folder, "report.html")}`);
    await taken("html", 1000);
    await page.goto("about:blank");
  });
}

await drawing("graph", "graph --format svg");
await drawing("graph-phases", "graph --format svg --by phase");
await drawing("graph-focus", "graph --format svg --focus T005");
await source("junit", "junit", "<testsuite");
await source("ctrf", "ctrf", '"reportFormat"');
await source("json", "json", '"summary"');
await browser.close();
rmSync(folder, { recursive: true, force: true });

/** Width and height of a PNG. */
function size(path) {
  const bytes = readFileSync(path);
  return [bytes.readUInt32BE(16), bytes.readUInt32BE(20)];
}

await test("the page shows every picture, and no other", () => {
  assert.deepEqual(named.toSorted(), [...made].toSorted());
});

await test("pictures are small", () => {
  for (const name of made) {
    const { length } = readFileSync(join(images, `${name}.png`));
    assert.ok(length <= MOST, `${name}.png has ${length} bytes`);
  }
});

if (!kept) {
  // As wide, and about as high: how lines break depends on where the project lies, and on fonts.
  await test("docs/images has the same pictures", () => {
    const shown = join(root, "docs/images");
    const renew = "`.ci/reports/run docs/images` makes them anew";
    assert.deepEqual(readdirSync(shown).toSorted(), [...made].map((name) => `${name}.png`).toSorted(), renew);
    for (const name of made) {
      const [now, then] = [images, shown].map((place) => size(join(place, `${name}.png`)));
      const grown = now[1] / then[1];
      assert.ok(now[0] === then[0] && grown > 0.75 && grown < 1.33, `${name}.png: ${now} for ${then}: ${renew}`);
    }
  });
}
close();
