// The Markdown report as other programs read it: markdownlint, the renderer of GitHub (cmark-gfm) and mermaid. The last
// line counts what passed and failed.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { close, launch, test } from "./browser.mjs";
import { bare, sample } from "./project.mjs";

/**
 * Texts that mean something to Markdown, HTML or mermaid, and what a reader has to see of them: `prose` where pairs of
 * backticks make code, `line` where they don't.
 */
const HOSTILE = [
  "a | b || c",
  "**bold** __bold__ *it* _it_ ~~gone~~ ~gone~",
  "[x](https://example.org) ![y](z) [^1] [z]: w",
  "<b>b</b> <!-- c --> </details> </script> <img src=x onerror=alert(1)>",
  "# no heading",
  "1. no list",
  "- no list",
  "> no quotation",
  "--- === ::: |-|-|",
  "$x$ $$y$$ \\frac \\| \\* \\",
  "&lt; &amp; &#35; &copy; #quot; #35;",
  "{{ x }} {% y %} %%{init: {}}%% end ;",
  "\"quoted\" 'quoted' ]) })",
  "日本語 é 👩‍🔧",
  "~~~ fence",
  { text: "two\nlines\n\n# and more\n- x", line: "two lines # and more - x" },
  { text: "\u001b[31mred\u001b[0m \u202ehidden\u0000", line: "red hidden" },
  { text: "one ` tick", line: "one ` tick" },
  { text: "``` fence", line: "``` fence" },
  { text: "`code` and *`co|de`*", line: "`code` and *`co|de`*", prose: "code and *co|de*" },
  { text: "``a`b`` and `c", line: "``a`b`` and `c", prose: "a`b and `c" },
].map((one) => (typeof one === "string" ? { text: one, line: one } : one));

const PROSE = "plain words";
const CODE = "plain code";

/** What of the evidence is text from outside: keys, and whether it is shown as code somewhere. */
const TEXTS = { title: PROSE, branch: PROSE, why: PROSE, how: PROSE, hint: PROSE, reason: PROSE, by: PROSE, because: PROSE, target: PROSE, values: PROSE, group: PROSE, mitigation: PROSE, owner: PROSE, root: PROSE, commands: CODE, artifacts: CODE, remedy: CODE, log: CODE };

/** Evidence with these texts in every place that is filled from outside. */
function filled(evidence, prose, code) {
  const fill = (value, key, parent) => {
    // Two keys are words of our own in some reasons.
    const isWord = (key === "by" && parent.kind === "failure") || (key === "how" && ["input", "artifact"].includes(parent.what));
    const kind = isWord ? undefined : TEXTS[key];
    // Two headings with the same text are a mistake for markdownlint.
    if (key === "group" && value !== null) return `${prose} too`;
    if (typeof value === "string") return kind === undefined ? value : kind === PROSE ? prose : code;
    if (Array.isArray(value)) {
      return value.map((item) => (typeof item === "string" ? fill(item, key, parent) : fill(item, undefined, parent)));
    }
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, fill(item, name, value)]));
  };
  return fill(evidence, undefined, {});
}

const folder = mkdtempSync(join(tmpdir(), "report-tests-"));
const here = import.meta.dirname;
const browser = await launch();
const page = await browser.newPage();
await page.addScriptTag({ path: join(here, "node_modules/mermaid/dist/mermaid.min.js") });
await page.evaluate(() => window.mermaid.initialize({ startOnLoad: false, securityLevel: "strict" }));

/** HTML as GitHub makes it of Markdown. */
function html(markdown) {
  const extensions = ["table", "strikethrough", "autolink", "tagfilter", "tasklist", "footnotes"].flatMap((name) => ["-e", name]);
  return execFileSync("cmark-gfm", ["--unsafe", ...extensions], { input: markdown, encoding: "utf8", maxBuffer: 1 << 28 });
}

/** Headings, items, cells and paragraphs with their texts, and the sources of drawings. */
const read = (markdown) =>
  page.evaluate((html) => {
    const document = new DOMParser().parseFromString(html, "text/html");
    const drawings = [...document.querySelectorAll("code.language-mermaid")].map((code) => code.textContent);
    document.querySelectorAll("pre, input").forEach((one) => one.remove());
    const kinds = "h1, h2, h3, h4, h5, h6, li, th, td, p, a, em, strong, del, img, script, details, blockquote, hr, sup";
    const parts = [...document.querySelectorAll(kinds)].map((one) => {
      const own = one.cloneNode(true);
      own.querySelectorAll("ul, ol").forEach((list) => list.remove());
      return `${one.localName}: ${own.textContent.replace(/\s+/g, " ").trim()}`;
    });
    return { parts, drawings };
  }, html(markdown));

/** What stands in the boxes of a drawing. */
const drawn = (source) =>
  page.evaluate(async (source) => {
    const { svg } = await window.mermaid.render("drawing", source);
    document.body.innerHTML = svg;
    const inside = (one) => one.innerHTML.replace(/<br\s*\/?>/g, "\n");
    const text = (one) => new DOMParser().parseFromString(inside(one), "text/html").body.textContent.trim();
    return {
      nodes: [...document.querySelectorAll(".node .nodeLabel")].map(text),
      arrows: document.querySelectorAll(".edgePaths path").length,
    };
  }, source);

/** What markdownlint finds. */
function lint(name, markdown, config = join(here, ".markdownlint-cli2.jsonc")) {
  const path = join(folder, name);
  writeFileSync(path, markdown);
  const words = [join(here, "node_modules/markdownlint-cli2/markdownlint-cli2-bin.mjs"), "--config", config, "--no-globs", name];
  try {
    execFileSync(process.execPath, words, { cwd: folder, stdio: ["ignore", "pipe", "pipe"], encoding: "utf8" });
  } catch (error) {
    assert.fail(`${name}: ${error.stdout}${error.stderr}`);
  }
}

const project = sample(join(folder, "sample"));
const other = bare(join(folder, "bare"));
const evidence = JSON.parse(project.xtask("report --format json"));
const report = (evidence) => {
  other.write("evidence.json", JSON.stringify(evidence));
  return other.xtask("report --from evidence.json");
};
const own = project.xtask(`--file ${join(process.env.ROOT, "pipeline.toml")} report`);

await test("markdownlint has nothing against STATUS.md, the report of this repository and that of the sample", () => {
  lint("STATUS.md", readFileSync(join(process.env.ROOT, "STATUS.md"), "utf8"));
  lint("own.md", own);
  lint("sample.md", project.xtask("report"));
});

await test("mermaid draws the graphs of this repository and of the sample, by task and by phase", async () => {
  for (const markdown of [own, project.xtask("report")]) {
    const { drawings } = await read(markdown);
    assert.equal(drawings.length, 1);
    const { nodes, arrows } = await drawn(drawings[0]);
    assert.equal(nodes.length, drawings[0].match(/:::/g).length);
    assert.equal(arrows, drawings[0].match(/ --> /g).length);
  }
  for (const words of ["graph --by phase", "graph --focus T005", "graph --by phase --focus T005"]) {
    const source = project.xtask(words);
    assert.equal((await drawn(source)).nodes.length, source.match(/:::/g).length);
  }
});

await test("GitHub's limits of mermaid are still what is reckoned with", async () => {
  const limits = await page.evaluate(() => {
    const { maxEdges, maxTextSize } = window.mermaid.mermaidAPI.getConfig();
    return { maxEdges, maxTextSize };
  });
  assert.deepEqual(limits, { maxEdges: 500, maxTextSize: 50000 });
});

await test("the report says what is new since the committed one", async () => {
  const { parts } = await read(project.xtask("report"));
  for (const wanted of [/^li: newly done: T004, T005/, /^li: (newly blocked|released|done then and not now|slower): /]) {
    assert.ok(parts.some((part) => wanted.test(part)), `${wanted} is not in\n${parts.join("\n")}`);
  }
});

const control = await read(report(filled(evidence, PROSE, CODE)));
for (const { text, line, prose = line } of HOSTILE) {
  // Within code that a sentence quotes, a backtick ends the code: there is no one thing that has to be seen. And a remedy
  // of several lines stands in a block of its own.
  const code = /[`\n]/.test(text) ? CODE : text;
  // Two backticks of two texts in one sentence are a pair.
  const ticks = (parts) => (text.includes("`") ? parts.map((part) => part.replace(/[`\s]/g, "")) : parts);
  const markdown = report(filled(evidence, text, code));
  await test(`it means itself: ${JSON.stringify(text)}`, async () => {
    const wanted = control.parts.map((part) => part.replaceAll(PROSE, () => prose).replaceAll(CODE, () => (code === CODE ? CODE : line)));
    const found = await read(markdown);
    // An address is a link wherever it stands.
    assert.deepEqual(ticks(found.parts.filter((part) => !part.startsWith("a: https://"))), ticks(wanted));
    const { nodes } = await drawn(found.drawings[0]);
    const titles = evidence.tasks.map((task) => `${task.id}\n${line}`).sort();
    assert.deepEqual(nodes.map((node) => node.slice(node.indexOf(" ") + 1).replace(/[^\S\n]+/g, " ").replaceAll("\u2060", "")).sort(), titles);
    lint("hostile.md", markdown);
  });
}

/** Evidence of so many tasks, of which each but the first needs one before it, in so many phases. */
function treelike(n_tasks, n_phases) {
  const phase = (i) => `p${Math.floor((i * n_phases) / n_tasks)}`;
  const needs = (i) => (i > 0 ? [`T${Math.floor((i - 1) / 2)}`] : []);
  const task = (i) => ({ ...evidence.tasks[0], id: `T${i}`, phase: phase(i), needs: needs(i), because: [], state: "done" });
  const tasks = Array.from({ length: n_tasks }, (_, i) => task(i));
  const summary = (all) => ({ ...evidence.summary, total: all.length, done: all.length, stale: 0, failed: 0, interrupted: 0, blocked: 0, waiting: 0, ready: 0, skipped: 0 });
  const phases = Array.from({ length: n_phases }, (_, i) => {
    const all = tasks.filter((one) => one.phase === `p${i}`);
    return { id: `p${i}`, title: `Phase ${i}`, summary: summary(all), tasks: all.map((one) => one.id) };
  });
  return { ...evidence, since: null, tasks, phases, summary: summary(tasks) };
}

await test("a graph of as many arrows as mermaid takes is shown, one more makes it one of phases", async () => {
  // Drawing it would take a minute; its limits are those of the parser.
  const parsed = (source) => page.evaluate((source) => window.mermaid.parse(source), source);
  const large = (await read(report(treelike(501, 20)))).drawings[0];
  assert.equal(large.match(/ --> /g).length, 500);
  await parsed(large);
  await assert.rejects(parsed(large.replace("t1 --> t2\n", "t1 --> t2\n  t1 --> t2\n")), /maxEdges|[Tt]oo many edges/);
  const { parts, drawings } = await read(report(treelike(502, 20)));
  assert.equal((await drawn(drawings[0])).nodes.length, 20);
  assert.ok(parts.some((part) => part.startsWith("p: The nodes are phases: GitHub does not draw 502 tasks.")), parts.join("\n"));
});

await browser.close();
rmSync(folder, { recursive: true, force: true });
close();
