// Pipelines whose reports are tested: a small one with everything in it, and one with ten thousand tasks.

import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Text that would run, load or close something if any of it were taken for markup. */
export const HOSTILE =
  "</script></style></noscript><img src=x onerror=\"document.title='run'\"> <script>document.title='run'</script> `|` &lt; \u001b[31m";

const SMALL = `
[pipeline]
id = "small"
title = "Bring up the platform"

[prerequisite.engine]
title = "the container engine"
program = "no-such-engine"
version = ">=20.10"
remedy.any = "sudo apt-get install no-such-engine"

[prerequisite.cluster]
requires = ["engine"]
program = "no-such-cluster"
remedy.any = "sudo snap install no-such-cluster"

[prerequisite.shell]
program = "sh"

[[phase]]
id = "setup"
title = "Setup"

[[phase.task]]
id = "T001"
title = "Folders \`k8s/\` and \`helm/\`"
run = "mkdir -p k8s helm"
artifacts = ["k8s", "helm"]

[[phase.task]]
id = "T002"
title = "Wait for the slow part"
needs = ["T001"]
requires = ["shell"]
run = ["sleep 0.2", "echo the needle in the log"]
check = [{ folder = "k8s" }]
measure = [{ name = "plan size", size = "pipeline.toml", unit = "bytes", max = "1MB" }]

[[phase.task]]
id = "T003"
title = ${JSON.stringify(HOSTILE)}
needs = ["T001"]
run = ${JSON.stringify(["printf", "%s\\n", HOSTILE].map((word) => "'" + word.replaceAll("'", "'\\''") + "'").join(" "))}
link = "https://example.org/tickets/3"

[[phase]]
id = "images"
title = "Images & <b>registries</b>"

[[phase.task]]
id = "T004"
title = "Build the image and hold it below 500 MB, with every layer pinned to a digest"
needs = ["T002"]
requires = ["engine"]
run = "no-such-engine build ."
owner = "platform team"

[[phase.task]]
id = "T005"
title = "Lint the chart"
run = ["sh -c 'echo 1 finding; exit 2'"]

[[phase.task]]
id = "T006"
title = "Run it"
needs = ["T004", "T005"]
requires = ["cluster"]
run = "no-such-cluster run"

[[phase.task]]
id = "T007"
title = "Only elsewhere"
when = { os = "netbsd" }
run = "true"

[[gate]]
title = "There is a plan"
check = [{ file = "pipeline.toml" }]

[[gate]]
title = "It runs"
tasks = ["T006"]

[[criterion]]
title = "Small"
target = "< 1 MB"
measure = "T002: plan size"

[[deliverable]]
title = "The folders"
files = "k8s"
tasks = ["T001"]

[[risk]]
title = "It does not run"
tasks = ["T006"]
mitigation = "Try \`T006\` early"
`;

function call(folder, words, codes) {
  try {
    return execFileSync(process.env.XTASK, words, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  } catch (error) {
    if (codes.includes(error.status)) return error.stdout;
    throw error;
  }
}

/** Makes a project, runs it so often, and gives the path of its report. */
function made(folder, plan, id, n_runs) {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "pipeline.toml"), plan);
  for (let n = 0; n < n_runs; n += 1) call(folder, [id, "--force"], [1, 3]);
  const report = join(folder, "report.html");
  call(folder, ["report", "--format", "html", "--out", report], []);
  return report;
}

/** The report with everything in it. */
export const small = (folder) => made(folder, SMALL, "small", 3);

/** The report of ten thousand tasks. */
export function big(folder) {
  const parts = [
    '[pipeline]\nid = "big"\ntitle = "Ten thousand tasks"\n[prerequisite.engine]\nprogram = "no-such-engine"\nremedy.any = "install it"\n',
  ];
  for (let phase = 0; phase < 20; phase += 1) {
    parts.push(`[[phase]]\nid = "p${phase}"\ntitle = "Part ${phase + 1}"\n`);
    for (let n = phase * 500; n < (phase + 1) * 500; n += 1) {
      const needs = n >= 100 ? `needs = ["T${n - 100}"]\n` : "";
      const requires = n % 20 === 19 ? 'requires = ["engine"]\n' : "";
      parts.push(
        `[[phase.task]]\nid = "T${n}"\ntitle = "Build part ${n} of the system and hold it below its limit"\n`,
        `${needs}${requires}run = "${n % 500 === 250 ? "false" : `echo built part ${n}`}"\ncheck = [{ file = "pipeline.toml" }]\n`,
        'measure = [{ name = "size of the part", size = "pipeline.toml", unit = "bytes", max = "50MB" }]\n',
      );
    }
  }
  return made(folder, parts.join(""), "big", 1);
}
