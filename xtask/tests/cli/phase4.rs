//! The pipeline of this repository on a copy of its files: a machine with none of the tools, and one on which they
//! appear one after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use crate::sandbox::{Sandbox, states};

/// What cannot be done without docker, helm and a cluster.
const OPEN: &[&str] = &[
    "T006", "T007", "T008", "T009", "T010", "T017", "T028", "T029", "T033", "T034", "T035", "T046", "T047",
    "T048", "T049",
];

/// Programs that a machine without the tools has all the same.
const PRESENT: &[&str] =
    &["git", "bash", "sh", "env", "cat", "grep", "sed", "tr", "sleep", "date", "rm", "mkdir"];

/// The repository with the evidence of a run that had none of the tools, and what that run said.
struct Template {
    sandbox: Sandbox,
    said: String,
}

/// Made once for all tests: each works on a copy of its own.
fn template() -> &'static Template {
    static TEMPLATE: OnceLock<Template> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let sandbox = bare();
        for name in repository_files() {
            let content = fs::read(repository().join(&name)).unwrap();
            sandbox.write(&name, content);
        }
        git(&sandbox, &["init", "-q", "-b", "main"]);
        git(&sandbox, &["add", "-A"]);
        git(
            &sandbox,
            &[
                "-c",
                "user.name=Tester",
                "-c",
                "user.email=tester@example.com",
                "commit",
                "-q",
                "-m",
                "Everything",
            ],
        );
        let said = sandbox.run("phase4").exits(3).stderr;
        Template { sandbox, said }
    })
}

/// The machine after that run.
fn machine() -> Sandbox {
    let sandbox = bare();
    copy(&template().sandbox.path(""), &sandbox.path(""));
    sandbox
}

fn bare() -> Sandbox {
    let sandbox = Sandbox::empty();
    PRESENT.iter().for_each(|name| sandbox.link(name));
    sandbox
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Files of the repository as a fresh clone would have them, but for the report. The program's own source is nothing
/// that a task looks at.
fn repository_files() -> Vec<String> {
    let walk = ignore::WalkBuilder::new(repository())
        .hidden(false)
        .require_git(false)
        .filter_entry(|entry| {
            !matches!(entry.file_name().to_str(), Some(".git" | ".xtask" | "target" | "node_modules"))
        })
        .build();
    let files = walk.map(Result::unwrap).filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()));
    let relative =
        files.map(|entry| entry.path().strip_prefix(repository()).unwrap().to_str().unwrap().to_owned());
    relative.filter(|name| name != "STATUS.md" && !name.starts_with("xtask/")).collect()
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn git(sandbox: &Sandbox, arguments: &[&str]) {
    let mut command = Command::new("git");
    command.args(arguments).stdout(Stdio::null());
    sandbox.confine(&mut command);
    assert!(command.status().unwrap().success(), "git {arguments:?}");
}

/// Tasks in a state.
fn in_state(states: &BTreeMap<String, String>, wanted: &str) -> Vec<String> {
    states.iter().filter(|(_, state)| *state == wanted).map(|(id, _)| id.clone()).collect()
}

/// Tasks that were tried after the records that there were before.
fn tried_since(sandbox: &Sandbox, before: usize) -> BTreeSet<String> {
    sandbox.started()[before..].iter().cloned().collect()
}

fn set(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

/// The first cause of a task: a prerequisite or a task, by name.
fn cause(status: &Value, id: &str) -> String {
    let task = status["tasks"].as_array().unwrap().iter().find(|task| task["id"] == id).unwrap();
    task["because"][0]["name"].as_str().unwrap_or_default().to_owned()
}

/// The text of a section of the report.
fn section<'a>(report: &'a str, heading: &str) -> &'a str {
    let start = report.find(&format!("\n## {heading}")).unwrap_or_else(|| panic!("no {heading}"));
    let rest = &report[start + 4..];
    &rest[..rest.find("\n## ").unwrap_or(rest.len())]
}

// Without the tools.

#[test]
fn without_the_tools_exactly_thirty_five_tasks_are_done() {
    let sandbox = machine();
    let states = sandbox.states();
    assert_eq!(states.len(), 50);
    let done = in_state(&states, "done");
    assert_eq!(done.len(), 35, "{}", template().said);
    let open: Vec<&str> =
        states.keys().map(String::as_str).filter(|id| !done.contains(&(*id).to_owned())).collect();
    assert_eq!(open, OPEN);
    assert_eq!(sandbox.started().len(), 35);
}

#[test]
fn what_is_open_is_blocked_or_waiting_with_the_right_cause() {
    let status = machine().status();
    let states = states(&status);
    let wanted = [
        ("blocked", "docker", &["T006", "T007", "T008", "T009", "T010", "T046"][..]),
        ("blocked", "helm", &["T028", "T029"]),
        ("blocked", "kubectl", &["T017", "T033", "T034", "T035", "T047", "T048", "T049"]),
    ];
    for (state, name, ids) in wanted {
        for id in ids {
            assert_eq!((states[*id].as_str(), cause(&status, id).as_str()), (state, name), "{id}");
        }
    }
    let verdict = |name: &str| {
        let rows = status["prerequisites"].as_array().unwrap();
        rows.iter().find(|row| row["name"] == name).unwrap()["verdict"].clone()
    };
    assert_eq!(["docker", "helm", "kubectl"].map(verdict), ["absent"; 3]);
    assert_eq!(verdict("cluster"), "could not tell", "without kubectl nobody can ask");
}

#[test]
fn the_report_says_so_in_every_section_that_counts() {
    let report = machine().read("STATUS.md");
    assert!(
        section(&report, "Executive Summary").contains("35 of 50"),
        "{}",
        section(&report, "Executive Summary")
    );
    let completed = section(&report, "Completed Work");
    assert_eq!(completed.matches("\n- [x] T").count(), 35);
    for phase in [
        "Containerization ⏸️ 2/7",
        "Kubernetes Deployment ⏸️ 16/19",
        "Configuration Management ⏸️ 3/6",
        "Documentation ⏸️ 6/10",
    ] {
        assert!(completed.contains(phase), "{phase} in {completed}");
    }
    let blocked = section(&report, "Blocked Tasks");
    for id in OPEN {
        assert!(blocked.contains(&format!("- [ ] {id}:")), "{id} in {blocked}");
        assert!(!completed.contains(&format!("[x] {id}")), "{id}");
    }
    assert_eq!(blocked.matches("\n- [ ] T").count(), OPEN.len());
    for name in ["docker", "helm", "kubectl", "cluster"] {
        assert!(section(&report, "Next Steps").contains(&format!("`{name}`")), "{name}");
    }
    assert!(
        section(&report, "Conclusion").contains("15 of 50 tasks are left"),
        "{}",
        section(&report, "Conclusion")
    );
    assert!(report.contains("**Branch**: main"));
    assert!(!section(&report, "Gates").contains('❌'), "{}", section(&report, "Gates"));
    assert!(
        !section(&report, "Deliverables Summary").contains('❌'),
        "{}",
        section(&report, "Deliverables Summary")
    );
}

#[test]
fn the_same_again_runs_and_writes_nothing() {
    let sandbox = machine();
    let evidence = sandbox.evidence();
    for call in ["phase4", "resume"] {
        sandbox.run(call).exits(3);
        assert_eq!(sandbox.evidence(), evidence, "{call}");
    }
    assert_eq!(sandbox.run("report").exits(0).stdout, evidence.1);
}

#[test]
fn a_touched_manifest_makes_its_tasks_and_what_stands_on_them_stale() {
    let sandbox = machine();
    let table = [
        ("k8s/base/configmap.yaml", &["T015"][..]),
        ("helm/habit-tracker/Chart.yaml", &["T018", "T030", "T031", "T032"]),
    ];
    for (file, stale) in table {
        let text = sandbox.read(file);
        sandbox.write(file, format!("{text}# touched\n"));
        let states = sandbox.states();
        assert_eq!(in_state(&states, "stale"), stale, "{file}");
        assert_eq!(in_state(&states, "done").len(), 35 - stale.len());
        for id in stale {
            sandbox.run(&format!("explain {id}")).exits(0).shows(file);
        }
        let before = sandbox.started().len();
        sandbox.run("phase4").exits(3);
        assert_eq!(tried_since(&sandbox, before), set(stale));
        assert_eq!(in_state(&sandbox.states(), "done").len(), 35);
        sandbox.write(file, text);
        sandbox.run("phase4").exits(3);
    }
}

#[test]
fn a_manifest_that_says_something_else_fails_its_task() {
    let sandbox = machine();
    let file = "k8s/base/backend-deployment.yaml";
    sandbox.write(file, sandbox.read(file).replace("maxUnavailable: 0", "maxUnavailable: 1"));
    sandbox.run("phase4").exits(1).says("maxUnavailable");
    assert_eq!(in_state(&sandbox.states(), "failed"), ["T011"]);
}

// As the tools appear.

const DOCKER: &str = r#"
--version => out 'Docker version 28.2.2, build e6534b4'
info --format _ => out 28.2.2
build => out built
image inspect --format {{.Id}} _ => out 'sha256:0123456789abcdef'
image inspect --format {{.Size}} habit-tracker-backend:v1.0.0 => out 187654321
image inspect --format {{.Size}} habit-tracker-frontend:v1.0.0 => out 145678901
run => err 'no containers here' exit 125
logs => exit 1
rm => exit 0
save => err 'no images here' exit 1
"#;

const KUBECTL: &str = r#"
version --client => out 'Client Version: v1.34.0'
@no-file cluster get --raw /readyz --request-timeout=5s => err 'The connection to the server localhost:8080 was refused' exit 1
get --raw /readyz --request-timeout=5s => out ok
config current-context => out docker-desktop
apply --dry-run=client -f k8s/base/ -o name => out 'configmap/habit-tracker-config\ndeployment.apps/habit-tracker-backend\nservice/habit-tracker-backend\ndeployment.apps/habit-tracker-frontend\nservice/habit-tracker-frontend\nsecret/habit-tracker-secrets'
apply --dry-run=client -f k8s/base/ => out fine
create namespace _ => out created
delete namespace => err 'no namespace goes here' exit 1
* => exit 0
"#;

const HELM: &str = r#"
version --short => out 'v4.0.1+g12500dd'
lint => out '1 chart(s) linted, 0 chart(s) failed'
template _ _ --set frontend.service.nodePort=80 => err 'at /frontend/service/nodePort: minimum: got 80, want 30000' exit 1
template => out 'kind: Deployment\nkind: Deployment\nkind: Service\nkind: Service\nnodePort: 30080\nkind: ConfigMap'
* => exit 0
"#;

/// `resume` tries exactly these tasks.
#[track_caller]
fn check_resume(sandbox: &Sandbox, code: i32, tried: &[&str]) {
    let before = sandbox.started().len();
    sandbox.run("resume").exits(code);
    assert_eq!(tried_since(sandbox, before), set(tried));
}

#[test]
fn each_tool_that_appears_releases_exactly_what_it_should() {
    let sandbox = machine();
    check_resume(&sandbox, 3, &[]);

    sandbox.tool("docker", DOCKER);
    check_resume(&sandbox, 1, &["T006", "T007", "T008", "T009", "T010"]);
    let states = sandbox.states();
    assert_eq!((states["T006"].as_str(), states["T007"].as_str()), ("done", "done"));
    assert_eq!(in_state(&states, "failed"), ["T008", "T009", "T010"]);
    assert!(section(&sandbox.read("STATUS.md"), "Completed Work").contains("188 MB"));

    // A client without a cluster releases nothing: no task can do with that alone.
    sandbox.tool("kubectl", KUBECTL);
    check_resume(&sandbox, 1, &["T008", "T009", "T010"]);
    let status = sandbox.status();
    assert_eq!((cause(&status, "T017").as_str(), cause(&status, "T035").as_str()), ("cluster", "cluster"));

    fs::write(sandbox.bin("cluster"), "").unwrap();
    check_resume(&sandbox, 1, &["T008", "T009", "T010", "T017"]);
    assert_eq!(sandbox.states()["T017"], "done");

    sandbox.tool("helm", HELM);
    check_resume(&sandbox, 1, &["T008", "T009", "T010", "T028", "T029", "T046"]);
    let states = sandbox.states();
    assert_eq!(in_state(&states, "failed"), ["T008", "T009", "T010", "T046"]);
    assert_eq!(in_state(&states, "waiting"), ["T033", "T034", "T035", "T047", "T048", "T049"]);
    assert_eq!(in_state(&states, "done").len(), 40);
}

#[test]
fn helm_alone_releases_the_lint() {
    let sandbox = machine();
    sandbox.tool("helm", HELM);
    check_resume(&sandbox, 3, &["T028"]);
    assert_eq!(sandbox.states()["T028"], "done");
}

#[test]
fn an_engine_that_does_not_answer_is_told_apart_from_none() {
    let table = [
        (
            "--version => out 'Docker version 28.2.2'\ninfo => err 'Cannot connect to the Docker daemon' exit 1",
            "not running",
        ),
        (
            "--version => out 'Docker version 28.2.2'\ninfo => err 'permission denied while trying to connect' exit 1",
            "no permission",
        ),
        ("--version => out 'Docker version 19.03.1'\ninfo => exit 0", "wrong version"),
    ];
    for (script, verdict) in table {
        let sandbox = machine();
        sandbox.tool("docker", script);
        check_resume(&sandbox, 3, &[]);
        let task = sandbox.task("T006");
        assert_eq!(
            (&task["state"], &task["because"][0]["verdict"]),
            (&Value::from("blocked"), &Value::from(verdict))
        );
        let next = section(&sandbox.read("STATUS.md"), "Blocked Tasks").to_owned();
        assert!(next.contains(verdict), "{next}");
    }
}

#[test]
fn doctor_names_what_releases_most_first() {
    let doctor = machine().run("doctor --json").exits(3).json();
    let unmet: Vec<(&str, u64)> = doctor["prerequisites"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["releases"].as_u64() > Some(0))
        .map(|row| (row["name"].as_str().unwrap(), row["releases"].as_u64().unwrap()))
        .collect();
    assert_eq!(unmet, [("docker", 5), ("helm", 1)]);
}
