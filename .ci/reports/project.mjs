// A pipeline with a task in every state that a run can leave, and what it needs of tools, in a folder of its own.

import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";

/** Programs of this machine that the tasks use; there is nothing else on their PATH. */
const PLAIN = ["cat", "dd", "git", "mkdir", "sh"];

/** Tools in place of real ones: `docker` answers as soon as there is a file `engine-is-up`. */
const TOOLS = {
  docker: `case $1 in
--version) echo "Docker version 28.2.2, build e6534b4" ;;
info) [ -e engine-is-up ] || { echo "Cannot connect to the Docker daemon" >&2; exit 1; } ;;
build) dd if=/dev/zero of=image.tar bs=1000 count=412 2>/dev/null ;;
run) echo "listening on port 8000" ;;
esac`,
  kubectl: 'echo "Client Version: v1.20.4"',
};

const PLAN = `
[pipeline]
id = "platform"
title = "Bring up the platform"
report = "STATUS.md"

[prerequisite.docker]
title = "a Docker engine that answers"
program = "docker"
version = ">=20.10"
ready = "docker info"
remedy.any = "sudo systemctl start docker"

[prerequisite.kubectl]
program = "kubectl"
version = ">=1.28"
remedy.any = "sudo apt-get install kubectl"

[prerequisite.helm]
program = "helm"
version = ">=3.8"
remedy.any = "sudo snap install helm --classic"

[[phase]]
id = "setup"
title = "Setup"

[[phase.task]]
id = "T001"
title = "Folders \`k8s/\` and \`helm/\`"
run = "mkdir -p k8s helm"
artifacts = ["k8s", "helm"]
check = [{ folder = "k8s" }, { folder = "helm" }]

[[phase.task]]
id = "T002"
title = "Settings for both services"
needs = ["T001"]
inputs = ["settings.in"]
run = "sh -c 'cat settings.in > settings.env'"
artifacts = ["settings.env"]
check = [{ file = "settings.env", contains = "PORT" }]

[[phase.task]]
id = "T003"
title = "Certificates"
run = "mkdir -p certs"

[[phase]]
id = "images"
title = "Images"

[[phase.task]]
id = "T004"
title = "Build the backend image and hold it below 500 MB"
needs = ["T001"]
requires = ["docker"]
run = "docker build -t backend ."
measure = [{ name = "backend image size", size = "image.tar", unit = "bytes", max = "500MB" }]

[[phase.task]]
id = "T005"
title = "Run the backend container: healthy, and not as root"
needs = ["T004"]
requires = ["docker"]
run = "docker run backend"

[[phase.task]]
id = "T006"
title = "Sign the image"
needs = ["T004"]
when = { os = "netbsd" }
run = "docker sign backend"

[[phase]]
id = "deployment"
title = "Deployment"

[[phase.task]]
id = "T007"
title = "The manifests hold no findings"
needs = ["T001"]
run = [{ run = "sh -c 'echo deployment.yaml:12: no memory limit; exit 2'", name = "lint the manifests" }]
hint = [{ matches = "no memory limit", say = "set \`resources.limits.memory\`" }]

[[phase.task]]
id = "T008"
title = "Apply the manifests"
needs = ["T005", "T003"]
requires = ["kubectl"]
run = "kubectl apply -f k8s"
owner = "platform team"

[[phase.task]]
id = "T009"
title = "Install the chart"
needs = ["T008"]
requires = ["helm"]
run = "helm upgrade --install app helm"

[[phase.task]]
id = "T010"
title = "Answers under load"
needs = ["T009"]
run = "sh -c 'exit 0'"

[[gate]]
title = "No certificates in git"
check = [{ file = ".gitignore", contains = "certs" }]

[[gate]]
title = "It runs"
tasks = ["T010"]

[[criterion]]
title = "Backend image size"
target = "< 500 MB"
measure = "T004: backend image size"

[[criterion]]
title = "Answers under load"
target = "no failed request"
tasks = ["T010"]

[[deliverable]]
group = "Infrastructure"
title = "Folders"
files = "k8s"
tasks = ["T001"]

[[risk]]
title = "The chart does not install"
tasks = ["T009"]
mitigation = "Roll back with \`helm rollback\`"
`;

/** A project: what can be called in its folder. */
export class Project {
  constructor(folder) {
    this.folder = folder;
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(join(folder, "bin"), { recursive: true });
    for (const name of PLAIN) {
      const found = process.env.PATH.split(delimiter).map((path) => join(path, name)).find((path) => existsSync(path));
      if (!found) throw new Error(`\`${name}\` is not on PATH`);
      symlinkSync(found, join(folder, "bin", name));
    }
    for (const [name, body] of Object.entries(TOOLS)) {
      this.write(`bin/${name}`, `#!/bin/sh\n${body}\n`);
      chmodSync(join(folder, "bin", name), 0o755);
    }
  }

  write(path, text) {
    writeFileSync(join(this.folder, path), text);
  }

  /** What a program prints; `codes` are the exit codes that it may end with. */
  call(program, words, codes = [0]) {
    const environment = {
      PATH: join(this.folder, "bin"),
      HOME: this.folder,
      USER: "ann",
      TERM: "xterm-256color",
      GIT_CONFIG_NOSYSTEM: "1",
      COLUMNS: "100",
    };
    const options = { cwd: this.folder, env: environment, stdio: ["ignore", "pipe", "pipe"], encoding: "utf8", maxBuffer: 1 << 28 };
    try {
      return execFileSync(program, words, options);
    } catch (error) {
      if (codes.includes(error.status)) return error.stdout;
      throw new Error(`${program} ${words.join(" ")}: ${error.status}\n${error.stdout}${error.stderr}`);
    }
  }

  xtask(words, codes) {
    return this.call(process.env.XTASK, words.split(" "), codes);
  }

  git(...words) {
    return this.call("git", ["-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "init.defaultBranch=main", ...words]);
  }
}

/** The sample: two runs, the engine started between them, a report committed after the first. */
export function sample(folder) {
  const project = new Project(folder);
  project.write("pipeline.toml", PLAN);
  project.write("settings.in", "PORT=8000\n");
  project.write(".gitignore", ".xtask/\nbin/\ncerts/\n");
  project.git("init", "--quiet");
  project.call(process.env.XTASK, ["skip", "T003", "--reason", "issued by the network team"]);
  project.xtask("platform", [1]);
  project.git("add", "--all");
  project.git("commit", "--quiet", "--message", "The first run");
  project.write("engine-is-up", "");
  project.xtask("resume", [1]);
  project.write("settings.in", "PORT=9000\n");
  project.xtask("report --out STATUS.md");
  return project;
}

/** A project with nothing but the id of the sample, for reports from evidence that is made up. */
export function bare(folder) {
  const project = new Project(folder);
  project.write("pipeline.toml", '[pipeline]\nid = "platform"\ntitle = "P"\n[[phase]]\nid = "a"\ntitle = "A"\n[[phase.task]]\nid = "t"\ntitle = "T"\n');
  return project;
}
