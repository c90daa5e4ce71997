//! The loop of a run: what is settled releases what needs it, what can start starts, and everything that becomes
//! true is put on record before anything else happens.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use jiff::Timestamp;

use crate::again::{self, Again, Extent, NoTimeline, Seen};
use crate::attempt::{self, Finished, Job};
use crate::check::{CheckSpec, Context};
use crate::exec::{self, Cause, Instance, Room};
use crate::ids::{Digest, NeedIx, TaskIx};
use crate::ledger::event::{
    CheckRecord, Concluded, Drifted, Event, FactTold, Failure, Git, Probed, RunStarted, TaskEnded,
    TaskStarted, Tool, TornDown,
};
use crate::ledger::store::{Home, Ledger, Withheld};
use crate::ledger::{Attempt, History, Outcome};
use crate::observed::{FileView, Observed, Probe, Unreadable};
use crate::pipeline::file::Step;
use crate::pipeline::template::NoScope;
use crate::pipeline::{Plan, Task, condition};
use crate::probe;
use crate::schedule::{self, Queue};
use crate::secrets::Secrets;
use crate::status::{self, Reason, Row, State};
use crate::timings;
use crate::ui::{LogEnd, Ui};
use crate::wait::{self, Outlook, Watcher};
use crate::world::{Real, World};

/// Time that survivors of a killed run get between TERM and KILL.
const SURVIVOR_GRACE: Duration = Duration::from_secs(2);

/// Time limit of a check of a gate or criterion.
const CONCLUDE_LIMIT: Duration = Duration::from_secs(60);

/// What is asked of a run.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Tasks that may run: those that were asked for and all that they stand on.
    pub selected: Vec<bool>,
    /// Tasks that were asked for themselves.
    pub named: Vec<bool>,
    /// Run what was asked for even if it is up to date.
    pub force: bool,
    /// Start nothing more after a failure.
    pub fail_fast: bool,
    /// How many tasks run at the same time.
    pub jobs: usize,
    /// Tasks that earlier passes of the same wait have run: they are not run once more for the reasons of this one.
    pub tried: Vec<bool>,
}

/// An answer that was there before the run.
#[derive(Debug, Clone)]
pub struct Known {
    /// The answer.
    pub probe: Probe,
    /// False if it is old: then it is asked again before something starts on it.
    pub fresh: bool,
}

/// What a run is told while it goes on.
#[derive(Debug)]
pub enum News {
    /// A task ended.
    Ended(TaskIx, Box<Finished>),
    /// Asking for a prerequisite came to something new.
    Answer(NeedIx, Probe),
    /// Somebody else has written to the ledger.
    Ledger,
    /// Something does not work as it should.
    Trouble(String),
    /// A signal came.
    Signal,
}

/// Where a run hears of it.
#[derive(Debug)]
pub struct Inbox {
    sender: mpsc::Sender<News>,
    news: mpsc::Receiver<News>,
}

impl Inbox {
    /// An empty one.
    pub fn new() -> Self {
        let (sender, news) = mpsc::channel();
        Self { sender, news }
    }

    /// For whoever has something to tell.
    pub fn sender(&self) -> mpsc::Sender<News> {
        self.sender.clone()
    }

    /// Waits for the next news; nothing if none came until then.
    pub fn next(&self, until: Option<Instant>) -> Option<News> {
        match until {
            Some(until) => self.news.recv_timeout(until.saturating_duration_since(Instant::now())).ok(),
            None => self.news.recv().ok(),
        }
    }
}

impl Default for Inbox {
    fn default() -> Self {
        Self::new()
    }
}

/// Everything that a run works with.
pub struct Run<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// What is on record; kept true while the run goes on.
    pub history: History,
    /// Where records go.
    pub ledger: &'a Ledger,
    /// Where the pipeline keeps its things.
    pub home: &'a Home,
    /// The outside.
    pub world: &'a Real,
    /// Where children run.
    pub room: &'a Room,
    /// What a person sees meanwhile.
    pub ui: &'a Ui,
    /// What must not be shown or recorded.
    pub secrets: &'a Secrets,
    /// Id of the run.
    pub id: String,
    /// Who runs.
    pub instance: Instance,
    /// The arguments, for the record.
    pub arguments: Vec<String>,
    /// Asks git for the repository's state, once, when there is something to record.
    pub git: Box<dyn Fn() -> Option<Git> + 'a>,
    /// Where the run hears of what happens meanwhile.
    pub inbox: &'a Inbox,
    /// Answers that are known already, by position in the plan; empty if nothing was asked before.
    pub known: Vec<Option<Known>>,
    /// Who looks and asks meanwhile for what is missing, if somebody waits for it.
    pub watcher: Option<&'a Watcher>,
}

/// What a run came to.
#[derive(Debug)]
pub struct Ran {
    /// States at the end.
    pub rows: Vec<Row>,
    /// What is on record at the end.
    pub history: History,
    /// What was observed.
    pub observed: Observed,
    /// How many attempts there were.
    pub started: usize,
    /// Tasks that were run.
    pub ran: Vec<bool>,
    /// True if the run put anything on record, so that its end belongs there too.
    pub recorded: bool,
    /// The ledger could not be written.
    pub ledger_failure: Option<anyhow::Error>,
    /// A log could not be written.
    pub log_failure: Option<anyhow::Error>,
}

/// A run under way.
struct Loop<'a, 'b> {
    run: &'b mut Run<'a>,
    asked: &'b Asked,
    observed: Observed,
    /// By prerequisite: the answer that is observed is an old one.
    doubted: Vec<bool>,
    rows: Vec<Option<Row>>,
    /// Changes with everything that a state may follow from.
    known: u64,
    /// Per task: what was known when its row was found.
    found: Vec<u64>,
    /// Per task: how many of its needs are not settled.
    pending: Vec<usize>,
    settled: Vec<bool>,
    dependents: Vec<Vec<TaskIx>>,
    /// Done, but to be done once more: what it set up is gone and something is about to stand on it.
    revive: Vec<bool>,
    ran: Vec<bool>,
    /// Done, and observed again in this run.
    looked: Vec<bool>,
    /// Attempts of this run, in the order in which they ended.
    attempts: Vec<(TaskIx, String, u32)>,
    queue: Queue,
    remaining: Vec<Duration>,
    begun: bool,
    /// The repository's state, once it was asked for.
    git: Option<Option<Git>>,
    stop: bool,
    ledger_failure: Option<anyhow::Error>,
    log_failure: Option<anyhow::Error>,
    /// A record that was not written, because a secret would have stood in it.
    withheld: Option<anyhow::Error>,
}

/// Does what can be done.
pub fn drive(mut run: Run<'_>, asked: &Asked) -> Ran {
    let n = run.plan.tasks.len();
    let mut this = Loop {
        observed: Observed {
            prerequisites: vec![None; run.plan.prerequisites.len()],
            files: vec![None; n],
            ..Observed::default()
        },
        doubted: vec![false; run.plan.prerequisites.len()],
        rows: vec![None; n],
        known: 0,
        found: vec![0; n],
        pending: vec![0; n],
        settled: vec![false; n],
        dependents: run.plan.dependents(),
        revive: vec![false; n],
        ran: vec![false; n],
        looked: vec![false; n],
        attempts: Vec::new(),
        queue: Queue::default(),
        remaining: Vec::new(),
        begun: false,
        git: None,
        stop: false,
        ledger_failure: None,
        log_failure: None,
        withheld: None,
        run: &mut run,
        asked,
    };
    this.clear_away();
    this.observe();
    this.look_again();
    this.work();
    this.tear_down();
    this.conclude();
    this.leave();
    let (rows, observed) = (std::mem::take(&mut this.rows), std::mem::take(&mut this.observed));
    let ran = std::mem::take(&mut this.ran);
    let ledger_failure = this.ledger_failure.take().or(this.withheld.take());
    let log_failure = this.log_failure.take();
    let (started, recorded) = (this.attempts.len(), this.begun);
    Ran {
        recorded,
        rows: rows.into_iter().flatten().collect(),
        history: run.history,
        observed,
        started,
        ran,
        ledger_failure,
        log_failure,
    }
}

/// What only reads: the state of everything, with the prerequisites asked that unfinished tasks need. Nothing is
/// recorded.
pub fn look(plan: &Plan, history: &History, world: &dyn World, selected: &[bool], home: &Home) -> Observed {
    let mut observed = Observed {
        at: Some(world.now()),
        prerequisites: vec![None; plan.prerequisites.len()],
        files: views(plan, history, world, selected),
        deliverables: deliverables(plan, world),
        holder: home.running(),
        ..Observed::default()
    };
    observed.versions = versions(plan, history, world, selected, true);
    let rows = status::rows(plan, history, &observed);
    let wanted = wanted(plan, &rows, selected, |_| false);
    observed.prerequisites = probe::prerequisites(plan, &wanted, world);
    observed.facts = probe::facts(plan, &wanted_facts(plan, &rows, selected), world);
    note_versions(plan, &mut observed);
    observed
}

/// The same from evidence alone: prerequisites as they are on record, files as they are.
pub fn recall(plan: &Plan, history: &History, world: &dyn World) -> Observed {
    let all = vec![true; plan.tasks.len()];
    Observed {
        at: None,
        prerequisites: plan
            .prerequisites
            .iter()
            .map(|p| history.probes.get(&p.name).map(|(probe, _)| probe.clone()))
            .collect(),
        facts: history.facts.clone(),
        files: views(plan, history, world, &all),
        deliverables: deliverables(plan, world),
        versions: versions(plan, history, world, &all, false),
        holder: None,
    }
}

/// Files of the tasks that have passed: only there is something to compare.
fn views(plan: &Plan, history: &History, world: &dyn World, selected: &[bool]) -> Vec<Option<FileView>> {
    /// So many are looked at in less time than a thread takes to begin.
    const FEW: usize = 100;
    let _span = timings::phase("look at files");
    let view = |(i, task): (usize, &Task)| {
        let last = history.task(&task.id).last.as_ref();
        let passed = last.is_some_and(|a| a.outcome() == Some(Outcome::Passed));
        (passed && selected[i]).then(|| probe::files(plan, task, world))
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let part = plan.tasks.len().div_ceil(threads).max(FEW);
    let part_of = |(n, tasks): (usize, &[Task])| {
        tasks.iter().enumerate().map(|(i, task)| view((n * part + i, task))).collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        let mut parts = plan.tasks.chunks(part).enumerate();
        let first = parts.next();
        let part_of = &part_of;
        let others: Vec<_> = parts.map(|part| scope.spawn(move || part_of(part))).collect();
        let mut out = first.map(part_of).unwrap_or_default();
        for other in others {
            out.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        out
    })
}

/// Files of each deliverable.
pub fn deliverables(plan: &Plan, world: &dyn World) -> Vec<Vec<Utf8PathBuf>> {
    plan.deliverables
        .iter()
        .map(|d| {
            let mut files: Vec<Utf8PathBuf> =
                d.files.iter().flat_map(|g| world.files(g).unwrap_or_default()).collect();
            files.sort();
            files.dedup();
            files
        })
        .collect()
}

/// Versions of the tools that finished tasks used: what the program on disk said when it was last asked, a fresh
/// answer if it is another file and `ask` allows it. A tool that is gone has none, which changes nothing.
fn versions(
    plan: &Plan,
    history: &History,
    world: &dyn World,
    selected: &[bool],
    ask: bool,
) -> BTreeMap<String, String> {
    let mut used = vec![false; plan.prerequisites.len()];
    for ix in plan.all().filter(|ix| selected[ix.0]) {
        if history.task(&plan.task(ix).id).last.as_ref().is_some_and(|a| !a.started.tools.is_empty()) {
            plan.task(ix).requires.iter().for_each(|n| used[n.0] = true);
        }
    }
    let mut out = BTreeMap::new();
    for (p, _) in plan.prerequisites.iter().zip(used).filter(|(_, used)| *used) {
        let Some(path) = p.program.as_ref().and_then(|program| world.which(program)) else { continue };
        let version = world.known_version(&path).or_else(|| {
            let asked = ask.then(|| probe::version(p, world).ok())??;
            world.note_version(&path, &asked);
            Some(asked)
        });
        if let Some(version) = version {
            out.insert(p.name.clone(), version);
        }
    }
    out
}

fn note_versions(plan: &Plan, observed: &mut Observed) {
    for (p, probe) in plan.prerequisites.iter().zip(&observed.prerequisites) {
        if let Some(version) = probe.as_ref().and_then(|p| p.version.clone()) {
            observed.versions.insert(p.name.clone(), version);
        }
    }
}

/// Prerequisites that unfinished tasks need.
fn wanted(plan: &Plan, rows: &[Row], selected: &[bool], also: impl Fn(TaskIx) -> bool) -> Vec<NeedIx> {
    let mut out: Vec<NeedIx> = plan
        .all()
        .filter(|ix| selected[ix.0] && (!rows[ix.0].state.satisfies() || also(*ix)))
        .flat_map(|ix| plan.task(ix).requires.clone())
        .collect();
    out.sort();
    out.dedup();
    out
}

/// Facts that decide whether unfinished tasks make sense here.
fn wanted_facts(plan: &Plan, rows: &[Row], selected: &[bool]) -> Vec<String> {
    let mut out: Vec<String> = plan
        .all()
        .filter(|ix| selected[ix.0] && rows[ix.0].state != State::Done)
        .flat_map(|ix| {
            plan.task(ix)
                .when
                .iter()
                .flat_map(condition::Condition::facts)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    out.sort();
    out.dedup();
    out
}

/// An id for an attempt or a run: unique across machines, because it is made of the host, its boot, the process, its
/// start and the time in nanoseconds, and of a counter besides.
pub fn new_id(instance: &Instance, at: Timestamp, counter: u64) -> String {
    let text = format!(
        "{}\0{}\0{}\0{}\0{}\0{counter}",
        instance.host,
        instance.boot,
        instance.pid,
        instance.started,
        at.as_nanosecond()
    );
    Digest::of(text.as_bytes()).to_string()
}

/// What a run says of itself before it records anything else.
pub fn run_started(plan: &Plan, instance: Instance, arguments: Vec<String>, git: Option<Git>) -> RunStarted {
    RunStarted {
        pipeline: plan.id.clone(),
        xtask: env!("CARGO_PKG_VERSION").to_owned(),
        instance,
        os: std::env::consts::OS.to_owned(),
        arguments,
        profile: plan.active().map(|p| p.name.clone()),
        git,
    }
}

impl Loop<'_, '_> {
    fn plan(&self) -> &Plan {
        self.run.plan
    }

    fn git(&mut self) -> Option<Git> {
        self.git.get_or_insert_with(|| (self.run.git)()).clone()
    }

    /// Puts something on record. A failure ends the run.
    fn record(&mut self, task: Option<&str>, event: &Event) -> bool {
        if self.ledger_failure.is_some() {
            return false;
        }
        if !self.begun {
            self.begun = true;
            let git = self.git();
            let started =
                run_started(self.run.plan, self.run.instance.clone(), self.run.arguments.clone(), git);
            if !self.append(None, &Event::RunStarted(started.clone())) {
                // Nothing is recorded of a run whose beginning is withheld.
                self.begun = self.withheld.is_none();
                return false;
            }
            self.run.history.run = Some(started);
        }
        self.append(task, event)
    }

    fn append(&mut self, task: Option<&str>, event: &Event) -> bool {
        self.known += 1;
        let at = self.run.world.now();
        match self.run.ledger.append(at, task, event) {
            Ok(()) => {
                if !matches!(event, Event::RunStarted(_) | Event::RunEnded(_) | Event::TaskStarted(_)) {
                    self.run.history.as_of = Some(at);
                }
                true
            }
            Err(error) => {
                // The file is fine where a record was withheld: what is under way can be recorded.
                if error.is::<Withheld>() {
                    self.stop = true;
                    self.withheld.get_or_insert(error);
                } else {
                    self.ledger_failure.get_or_insert(error);
                    self.give_up();
                }
                false
            }
        }
    }

    /// There is no place left for evidence. Nothing more starts, and what is under way is ended and cleaned up: nobody
    /// would know what it came to, so it would have to be done again.
    fn give_up(&mut self) {
        if !std::mem::replace(&mut self.stop, true) {
            self.run.ui.warn("evidence can't be written: what is under way is ended and cleaned up");
        }
        self.run.room.cancel(Cause::Caller);
    }

    /// Notes that a log could not be written, which ends the run as well.
    fn check_log(&mut self, unlogged: Option<String>) {
        let Some(why) = unlogged else { return };
        self.log_failure.get_or_insert(anyhow::Error::msg(why));
        self.give_up();
    }

    /// Ends what a killed run left running, and does the cleaning that it owes.
    fn clear_away(&mut self) {
        let _span = timings::phase("clear away");
        let (lost, killed) = (&self.run.history.cut_off, self.run.ledger.killed());
        if !lost.is_empty() || !killed.is_empty() {
            let is_lost = |mark: &str| {
                lost.iter().any(|id| id == mark) || killed.iter().any(|run| Real::asked_by(mark, run))
            };
            let ended = exec::end_survivors(&is_lost, SURVIVOR_GRACE);
            if ended > 0 {
                let processes = if ended == 1 { "process" } else { "processes" };
                self.run.ui.say(&format!("ended {ended} {processes} that an earlier run had left behind"));
            }
        }
        self.run.ledger.cleared();
        // Nobody else runs, so whatever is there was left behind.
        let _ = std::fs::remove_dir_all(self.run.home.tmp());
        for ix in self.plan().all().collect::<Vec<_>>() {
            let past = self.run.history.task(&self.plan().task(ix).id);
            let Some(last) = &past.last else { continue };
            let died = last.ended.is_none() && last.started.instance != self.run.instance;
            if past.torn_down || !(died || self.run.history.open_runs.contains(&last.run)) {
                continue;
            }
            let last = last.clone();
            if died && let Some(log) = self.run.home.recorded_log(&last.started.log) {
                // Nobody did it when the run was killed.
                let _ = exec::seal(&log, self.run.secrets);
            }
            let task = self.run.plan.task(ix);
            let mut steps: Vec<Step> = if died { task.finally.clone() } else { Vec::new() };
            steps.extend(task.teardown.iter().cloned());
            if !steps.is_empty() {
                self.run.ui.say(&format!("cleaning up after `{}`, whose run was killed", task.id));
                self.clean(
                    ix,
                    &last.run.clone(),
                    &last.started.attempt.clone(),
                    last.started.number,
                    &steps,
                    "recovery",
                );
            }
        }
    }

    /// Runs cleaning commands of an attempt that is over, and records that they ran.
    fn clean(&mut self, ix: TaskIx, run_id: &str, attempt_id: &str, number: u32, steps: &[Step], part: &str) {
        let task = self.run.plan.task(ix);
        let recorded = Home::log(
            &format!("{}-{part}", task.id),
            number,
            &new_id(&self.run.instance, self.run.world.now(), 0),
        );
        let log = self.run.world.root().join(&recorded);
        let scratch = self.run.home.scratch(attempt_id);
        let job = Job {
            plan: self.run.plan,
            task,
            run: run_id,
            attempt: attempt_id,
            log: &log,
            scratch: &scratch,
            recorded: &BTreeMap::new(),
            facts: &self.observed.facts,
            secrets: self.run.secrets,
        };
        let cleaned = attempt::clean_up(&job, steps, self.run.room, self.run.world);
        let _ = std::fs::remove_dir_all(&scratch);
        for note in cleaned.notes {
            self.run.ui.warn(&format!("`{}`: {note}", task.id));
        }
        let commands = cleaned.commands;
        self.check_log(cleaned.unlogged);
        if commands.is_empty() {
            let _ = std::fs::remove_file(&log);
            return;
        }
        let id = task.id.clone();
        let digest = exec::digest(&log).ok();
        let attempt = attempt_id.to_owned();
        let torn_down = TornDown { attempt, commands, log: Some(recorded), digest };
        self.record(Some(&id), &Event::TornDown(torn_down));
        if let Some(past) = self.run.history.tasks.get_mut(&id) {
            past.torn_down = true;
        }
    }

    /// Looks at files, then asks for the prerequisites that unfinished tasks need.
    fn observe(&mut self) {
        let _span = timings::phase("observe");
        let (plan, world, selected) = (self.run.plan, self.run.world, &self.asked.selected);
        self.observed.at = Some(world.now());
        self.observed.files = views(plan, &self.run.history, world, selected);
        self.observed.versions = versions(plan, &self.run.history, world, selected, true);
        let rows = status::rows(plan, &self.run.history, &self.observed);
        let before = self.known;
        let forced = |ix: TaskIx| self.must_run(ix, &rows[ix.0]);
        let needs = wanted(plan, &rows, selected, forced);
        self.ask_facts(&wanted_facts(plan, &rows, selected));
        self.recall();
        self.ask_unasked(&needs);
        let rows =
            if self.known == before { rows } else { status::rows(plan, &self.run.history, &self.observed) };
        self.rows = rows.into_iter().map(Some).collect();
        self.found.fill(self.known);
        let rows = &self.rows;
        self.remaining =
            schedule::remaining(plan, selected, |ix| rows[ix.0].as_ref().and_then(|r| r.expected));
        self.watch();
    }

    /// Takes over what is known already, without asking.
    fn recall(&mut self) {
        for (i, known) in std::mem::take(&mut self.run.known).into_iter().enumerate() {
            let Some(known) = known else { continue };
            self.doubted[i] = known.probe.is_met() && !known.fresh;
            self.note(NeedIx(i), known.probe);
        }
        note_versions(self.run.plan, &mut self.observed);
    }

    /// Asks for prerequisites and all that they require, whatever is known of them.
    fn ask(&mut self, needs: &[NeedIx]) {
        self.ask_besides(needs, &[]);
    }

    /// Asks for prerequisites and records the answers that are news. What is `known` is not asked.
    fn ask_besides(&mut self, needs: &[NeedIx], known: &[Option<Probe>]) {
        if needs.is_empty() {
            return;
        }
        let plan = self.run.plan;
        let _span = timings::phase("ask for prerequisites");
        let asking = self.run.ui.probing(needs.len());
        let answers = probe::prerequisites_besides(plan, needs, known, self.run.world);
        drop(asking);
        for (i, answer) in answers.into_iter().enumerate() {
            let Some(probe) = answer else { continue };
            self.doubted[i] = false;
            self.note(NeedIx(i), probe);
        }
        note_versions(plan, &mut self.observed);
    }

    /// Puts an answer on record if it is news.
    fn note(&mut self, need: NeedIx, probe: Probe) {
        let probe = self.run.secrets.veiled(probe);
        let name = &self.run.plan.prerequisites[need.0].name;
        if self.run.history.probes.get(name).map(|(p, _)| p) != Some(&probe) {
            let at = self.run.world.now();
            self.record(None, &Event::Probed(Probed { prerequisite: name.clone(), probe: probe.clone() }));
            self.run.history.probes.insert(name.clone(), (probe.clone(), at));
        }
        self.observed.prerequisites[need.0] = Some(probe);
        self.known += 1;
    }

    /// Asks for those of these prerequisites that this run has not asked for; true if there were any.
    fn ask_unasked(&mut self, needs: &[NeedIx]) -> bool {
        self.ask_where(needs, |this, need| this.observed.prerequisites[need.0].is_none())
    }

    /// Asks again for those of these prerequisites whose answers, or those of what they require, are old; true if
    /// there were any. To be done before something starts on them.
    fn ask_doubted(&mut self, needs: &[NeedIx]) -> bool {
        self.ask_where(needs, |this, need| {
            this.plan()
                .with_required(&[need])
                .iter()
                .zip(&this.doubted)
                .any(|(all, doubted)| *all && *doubted)
        })
    }

    fn ask_where(&mut self, needs: &[NeedIx], is_open: impl Fn(&Self, NeedIx) -> bool) -> bool {
        let open: Vec<NeedIx> = needs.iter().copied().filter(|need| is_open(self, *need)).collect();
        let known: Vec<Option<Probe>> = (self.observed.prerequisites.iter().zip(&self.doubted).enumerate())
            .map(|(i, (probe, doubted))| probe.clone().filter(|_| !*doubted && !open.contains(&NeedIx(i))))
            .collect();
        self.ask_besides(&open, &known);
        !open.is_empty()
    }

    /// Tells whoever watches what is worth it.
    fn watch(&self) {
        let Some(watcher) = self.run.watcher else { return };
        let answers = &self.observed.prerequisites;
        let waits =
            self.with_outlook(|outlook| outlook.waits(answers, |p| wait::is_fixed(p, self.run.world)));
        watcher.watch(waits.needs(), answers.clone());
    }

    fn with_outlook<T>(&self, with: impl FnOnce(Outlook<'_>) -> T) -> T {
        let rows: Vec<Row> = self.rows.iter().flatten().cloned().collect();
        let wanted: Vec<bool> = (rows.iter().enumerate())
            .map(|(i, row)| self.asked.selected[i] && !self.is_given_up(TaskIx(i), row))
            .collect();
        with(Outlook { plan: self.run.plan, rows: &rows, wanted: &wanted })
    }

    /// It failed in this wait. What is released later does not mend that.
    fn is_given_up(&self, ix: TaskIx, row: &Row) -> bool {
        row.state == State::Failed && (self.asked.tried[ix.0] || self.ran[ix.0])
    }

    /// Somebody who looks and asks meanwhile has a new answer: what it releases starts.
    fn appeared(&mut self, need: NeedIx, probe: Probe) {
        let before = self.observed.prerequisites[need.0].as_ref();
        if before.is_some_and(|before| before.verdict == probe.verdict) || self.run.room.cancelled().is_some()
        {
            return;
        }
        let is_met = probe.is_met();
        let n = self.with_outlook(|outlook| outlook.releases(&self.observed.prerequisites, need));
        self.note(need, probe.clone());
        self.doubted[need.0] = false;
        wait::note(self.run.plan, &mut self.observed.prerequisites, need, probe);
        self.known += 1;
        note_versions(self.run.plan, &mut self.observed);
        if is_met {
            self.run.ui.say(&wait::met_line(self.run.plan, need, n));
            self.begin_again();
        }
        self.watch();
    }

    /// True if all of these prerequisites were asked for and are met.
    fn all_met(&self, needs: &[NeedIx]) -> bool {
        needs.iter().all(|n| self.observed.prerequisites[n.0].as_ref().is_some_and(Probe::is_met))
    }

    /// Asks for facts and records the answers that are news.
    fn ask_facts(&mut self, names: &[String]) {
        for (fact, answer) in probe::facts(self.run.plan, names, self.run.world) {
            let answer = self.run.secrets.veiled(answer);
            if self.run.history.facts.get(&fact) != Some(&answer) {
                let (value, why) = (answer.clone().ok(), answer.clone().err());
                self.record(None, &Event::FactTold(FactTold { fact: fact.clone(), value, why }));
                self.run.history.facts.insert(fact.clone(), answer.clone());
            }
            self.observed.facts.insert(fact, answer);
            self.known += 1;
        }
    }

    fn must_run(&self, ix: TaskIx, row: &Row) -> bool {
        let named = self.asked.named[ix.0] && !self.asked.tried[ix.0];
        row.state != State::Skipped
            && ((named && (self.asked.force || self.plan().task(ix).always)) || self.revive[ix.0])
    }

    /// Observes again the finished tasks that what is about to start stands on: what they made may be gone.
    fn look_again(&mut self) {
        let _span = timings::phase("look again");
        let plan = self.run.plan;
        let mut starts = vec![false; plan.tasks.len()];
        for ix in &plan.order {
            let Some(row) = &self.rows[ix.0] else { continue };
            let open = (!row.state.satisfies() && !self.is_given_up(*ix, row)) || self.must_run(*ix, row);
            let free = !row
                .because
                .iter()
                .any(|r| matches!(r, Reason::Prerequisite { .. } | Reason::Condition { .. }));
            let needs = plan
                .task(*ix)
                .needs
                .iter()
                .all(|n| starts[n.0] || self.rows[n.0].as_ref().is_some_and(|r| r.state.satisfies()));
            starts[ix.0] = self.asked.selected[ix.0] && open && free && needs;
        }
        let below =
            plan.closure(plan.all().filter(|ix| starts[ix.0]).flat_map(|ix| plan.task(ix).needs.clone()));
        let stood_on: Vec<TaskIx> = plan
            .all()
            .filter(|ix| {
                below[ix.0]
                    && !starts[ix.0]
                    && !self.ran[ix.0]
                    && !self.looked[ix.0]
                    && self.rows[ix.0].as_ref().is_some_and(|r| r.state == State::Done)
            })
            .collect();
        for ix in &stood_on {
            self.looked[ix.0] = true;
            if self.rows[ix.0].as_ref().is_some_and(|r| r.torn_down) {
                self.revive[ix.0] = true;
            }
        }
        let looked: Vec<TaskIx> = stood_on
            .into_iter()
            .filter(|ix| {
                let hindered = again::hindrance(plan, *ix, &self.run.history).is_some();
                !self.revive[ix.0] && again::has_something(plan.task(*ix), Extent::Outside, hindered)
            })
            .collect();
        if looked.is_empty() {
            return;
        }
        let needs: Vec<NeedIx> = looked.iter().flat_map(|ix| plan.task(*ix).requires.clone()).collect();
        self.ask_unasked(&needs);
        self.ask_doubted(&needs);
        let unasked = again::facts(looked.iter().map(|ix| plan.task(*ix)));
        let unasked: Vec<String> =
            unasked.into_iter().filter(|name| !self.observed.facts.contains_key(name)).collect();
        self.ask_facts(&unasked);
        let again = Again {
            plan,
            history: &self.run.history,
            observed: &self.observed,
            home: self.run.home,
            world: self.run.world,
            secrets: self.run.secrets,
        };
        let looked: Vec<TaskIx> = looked.into_iter().filter(|ix| again.lacks(*ix).is_none()).collect();
        let found = again.all(&looked, Extent::Outside, self.asked.jobs, &|_, _| {});
        for (ix, seen) in looked.into_iter().zip(found) {
            if seen.drifted() {
                self.record_drift(ix, seen);
            }
        }
    }

    /// Puts on record that a finished task no longer holds.
    fn record_drift(&mut self, ix: TaskIx, seen: Seen) {
        let id = self.plan().task(ix).id.clone();
        let Some(last) = &self.run.history.task(&id).last else { return };
        let drift = Drifted { attempt: last.started.attempt.clone(), checks: seen.checks };
        self.record(Some(&id), &Event::Drifted(drift.clone()));
        let at = self.run.world.now();
        if let Some(past) = self.run.history.tasks.get_mut(&id) {
            past.drift = Some((drift, at));
            past.confirmed = None;
        }
    }

    /// Counts what each task waits for, and evaluates those that wait for nothing.
    fn begin(&mut self) {
        let plan = self.run.plan;
        self.queue.clear();
        for ix in plan.all() {
            self.settled[ix.0] = !self.asked.selected[ix.0];
            self.pending[ix.0] = plan.task(ix).needs.iter().filter(|n| self.asked.selected[n.0]).count();
        }
        let free: Vec<TaskIx> = plan
            .order
            .iter()
            .copied()
            .filter(|ix| self.asked.selected[ix.0] && self.pending[ix.0] == 0)
            .collect();
        for ix in free {
            self.evaluate(ix);
        }
    }

    /// All that a task needs is settled: decides whether it starts, is done already, or can't start.
    fn evaluate(&mut self, first: TaskIx) {
        let mut stack = vec![first];
        while let Some(ix) = stack.pop() {
            if self.decide(ix) {
                continue;
            }
            self.settled[ix.0] = true;
            for dependent in self.dependents[ix.0].clone() {
                if self.asked.selected[dependent.0] {
                    self.pending[dependent.0] -= 1;
                    if self.pending[dependent.0] == 0 {
                        stack.push(dependent);
                    }
                }
            }
        }
    }

    /// The row of a task, from what is known now. It is to be put back.
    fn take_row(&mut self, ix: TaskIx) -> Row {
        let known = std::mem::replace(&mut self.found[ix.0], self.known) == self.known;
        match self.rows[ix.0].take() {
            Some(row) if known => row,
            _ => status::row(self.run.plan, ix, &self.run.history, &self.observed, &self.rows),
        }
    }

    /// True if the task was put into the queue or is under way; false if it is settled.
    fn decide(&mut self, ix: TaskIx) -> bool {
        if self.under_way(ix) {
            return true;
        }
        let plan = self.run.plan;
        let task = plan.task(ix);
        if !self.ran[ix.0] && task.needs.iter().any(|n| self.ran[n.0]) && self.observed.files[ix.0].is_some()
        {
            self.observed.files[ix.0] = Some(probe::files(plan, task, self.run.world));
            self.known += 1;
        }
        let mut row = self.take_row(ix);
        if self.ran[ix.0] {
            self.rows[ix.0] = Some(row);
            return false;
        }
        let must = self.must_run(ix, &row);
        if (row.state.satisfies() || self.is_given_up(ix, &row)) && !must {
            self.rows[ix.0] = Some(row);
            return false;
        }
        if self.ask_unasked(&task.requires) {
            row = self.take_row(ix);
        }
        let needed = task.needs.iter().all(|n| self.rows[n.0].as_ref().is_some_and(|r| r.state.satisfies()));
        let hindered =
            row.because.iter().any(|r| matches!(r, Reason::Condition { .. } | Reason::Running { .. }));
        if needed && !hindered && self.all_met(&task.requires) && self.ask_doubted(&task.requires) {
            row = self.take_row(ix);
        }
        let required = self.all_met(&task.requires);
        self.rows[ix.0] = Some(row);
        if required && needed && !hindered {
            self.queue.push(ix, self.remaining[ix.0]);
            true
        } else {
            false
        }
    }

    /// Starts what can start until nothing is left to start and nothing is under way.
    fn work(&mut self) {
        let _span = timings::phase("work");
        self.begin();
        let total = self.plan().all().filter(|ix| self.asked.selected[ix.0]).count();
        let finished = self.plan().all().filter(|ix| self.asked.selected[ix.0] && self.settled[ix.0]).count();
        self.run.ui.begin(total, finished);
        let (room, world, plan, inbox) = (self.run.room, self.run.world, self.run.plan, self.run.inbox);
        let secrets = self.run.secrets;
        std::thread::scope(|scope| {
            let mut under_way = 0;
            loop {
                while under_way < self.asked.jobs && !self.stop && room.cancelled().is_none() {
                    let Some(ix) = self.queue.pop(plan) else { break };
                    let Some(prepared) = self.start(ix) else { break };
                    under_way += 1;
                    let done = inbox.sender();
                    scope.spawn(move || {
                        let _span = timings::task(&plan.task(ix).id);
                        let job = prepared.job(plan, plan.task(ix), secrets);
                        let finished = match &prepared.unread {
                            None => attempt::attempt(&job, room, world),
                            Some(unread) => attempt::refuse(&job, unread),
                        };
                        // The loop outlives every attempt, so there is always somebody to tell.
                        let _ = done.send(News::Ended(ix, Box::new(finished)));
                    });
                }
                if under_way == 0 {
                    break;
                }
                match inbox.next(None) {
                    Some(News::Ended(ix, finished)) => {
                        under_way -= 1;
                        self.end(ix, *finished);
                    }
                    Some(News::Answer(need, probe)) => self.appeared(need, probe),
                    Some(News::Trouble(what)) => self.run.ui.warn(&what),
                    // A signal has reached the attempts already. The ledger is ours just now.
                    Some(News::Signal | News::Ledger) => {}
                    None => break,
                }
            }
        });
        self.run.ui.end();
    }

    /// Puts the start of an attempt on record.
    fn start(&mut self, ix: TaskIx) -> Option<Prepared> {
        let plan = self.run.plan;
        let task = plan.task(ix);
        let at = self.run.world.now();
        let number = self.run.history.task(&task.id).attempts + 1;
        let attempt = new_id(&self.run.instance, at, ix.0 as u64);
        let log = Home::log(&task.id, number, &attempt);
        let view = probe::files(plan, task, self.run.world);
        let needs = task
            .needs
            .iter()
            .filter_map(|n| self.rows[n.0].as_ref())
            .filter_map(|r| Some((r.id.clone(), r.result?)))
            .collect();
        let tools = task
            .requires
            .iter()
            .filter_map(|n| {
                let probe = self.observed.prerequisites[n.0].as_ref()?;
                Some((
                    plan.prerequisites[n.0].name.clone(),
                    Tool { version: probe.version.clone(), path: probe.path.clone() },
                ))
            })
            .collect();
        let git = self.git();
        let started = TaskStarted {
            attempt: attempt.clone(),
            number,
            place: "local".to_owned(),
            instance: self.run.instance.clone(),
            definition: task.definition.clone(),
            inputs: view.inputs,
            needs,
            tools,
            env: attempt::env_names(task, self.run.world),
            log: log.clone(),
            git,
        };
        let started = self.run.secrets.veiled(started);
        if !self.record(Some(&task.id), &Event::TaskStarted(Box::new(started.clone()))) {
            self.queue.release(plan, ix);
            return None;
        }
        let past = self.run.history.tasks.entry(task.id.clone()).or_default();
        let previous = past.last.take().filter(|a| a.outcome() == Some(Outcome::Passed));
        past.passed = previous.or(past.passed.take());
        past.last = Some(Attempt { run: self.run.id.clone(), started_at: at, started, ended: None });
        past.attempts = number;
        past.left = None;
        past.left_since = None;
        past.drift = None;
        past.confirmed = None;
        past.torn_down = false;
        self.run.ui.started(&task.id, &task.title, &self.run.world.root().join(&log));
        let recorded = self.measurements(ix);
        Some(Prepared {
            run: self.run.id.clone(),
            log: self.run.world.root().join(&log),
            scratch: self.run.home.scratch(&attempt),
            attempt,
            recorded,
            facts: self.observed.facts.clone(),
            // What is being written now has no digest, so what was made of it is stale when it has one.
            unread: view.unreadable.into_iter().find(|unread| !unread.is_busy),
        })
    }

    /// Measurements of other tasks that this one takes over.
    fn measurements(&self, ix: TaskIx) -> BTreeMap<(String, String), f64> {
        let mut out = BTreeMap::new();
        for measure in &self.plan().task(ix).measures {
            let Some((task, name)) = measure.taken_from() else { continue };
            // A name with a secret in it is masked on record.
            let recorded = self.run.secrets.mask(name);
            let ended = self.run.history.task(task).last.as_ref().and_then(|a| a.ended.as_ref());
            if let Some(m) = ended.and_then(|(_, e)| e.measurements.iter().find(|m| m.name == recorded)) {
                out.insert((task.to_owned(), name.to_owned()), m.value);
            }
        }
        out
    }

    /// Puts the end of an attempt on record, and lets go of what waited for it.
    fn end(&mut self, ix: TaskIx, finished: Finished) {
        let plan = self.run.plan;
        let task = plan.task(ix);
        self.queue.release(plan, ix);
        for note in &finished.notes {
            self.run.ui.warn(&format!("`{}`: {note}", task.id));
        }
        let Some(last) = self.run.history.tasks.get(&task.id).and_then(|t| t.last.as_ref()) else { return };
        let started = last.started.clone();
        let ended = TaskEnded {
            attempt: started.attempt.clone(),
            outcome: finished.outcome,
            failure: finished.failure.clone(),
            tries: finished.tries,
            ms: finished.took.as_millis() as u64,
            commands: finished.commands,
            checks: finished.checks,
            measurements: finished.measurements,
            result: result_of(task, &started, &finished.subjects),
            subjects: finished.subjects,
            log: finished.log,
        };
        let ended = self.run.secrets.veiled(ended);
        self.attempts.push((ix, started.attempt.clone(), started.number));
        self.ran[ix.0] = true;
        self.revive[ix.0] = false;
        let recorded = self.record(Some(&task.id), &Event::TaskEnded(Box::new(ended.clone())));
        let at = self.run.world.now();
        self.known += 1;
        self.observed.files[ix.0] = Some(FileView {
            inputs: started.inputs.clone(),
            subjects: ended.subjects.clone(),
            ..FileView::default()
        });
        if let Some(past) = self.run.history.tasks.get_mut(&task.id) {
            if ended.outcome == Outcome::Passed {
                past.durations.push(finished.took);
            }
            if let Some(last) = past.last.as_mut().filter(|_| recorded) {
                last.ended = Some((at, ended));
            }
        }
        self.tell(task, finished.outcome, finished.failure.as_ref(), finished.took, &started.log);
        if finished.outcome == Outcome::Failed && self.asked.fail_fast {
            self.stop = true;
        }
        self.check_log(finished.unlogged);
        self.evaluate(ix);
        if finished.outcome == Outcome::Passed && !task.provides.is_empty() {
            let provides = task.provides.clone();
            self.ask(&provides);
            self.begin_again();
        }
    }

    /// A prerequisite has another answer: what was held up by it is looked at again. What is under way stays so.
    fn begin_again(&mut self) {
        let plan = self.run.plan;
        for ix in &plan.order {
            if !self.under_way(*ix) {
                let row = self.take_row(*ix);
                self.rows[ix.0] = Some(row);
            }
        }
        self.look_again();
        self.begin();
    }

    fn tell(
        &self,
        task: &Task,
        outcome: Outcome,
        failure: Option<&Failure>,
        took: Duration,
        log: &Utf8PathBuf,
    ) {
        let ui = self.run.ui;
        match (outcome, failure) {
            (Outcome::Passed, _) => ui.passed(&task.id, &task.title, took),
            (Outcome::Interrupted, _) => ui.interrupted(&task.id, &task.title, took),
            (Outcome::Failed, failure) => {
                let mut tail = exec::tail(&self.run.world.root().join(log), ui.log_lines(), 64 << 10);
                // What failed stands above already.
                tail.retain(|line| !line.starts_with("# NOT OK: ") && !line.starts_with("# failed: "));
                let log = LogEnd { path: log, lines: &tail, at: self.run.world.now() };
                ui.failed(&task.id, &task.title, took, failure, &log);
            }
        }
    }

    fn under_way(&self, ix: TaskIx) -> bool {
        !self.ran[ix.0]
            && self
                .run
                .history
                .task(&self.plan().task(ix).id)
                .last
                .as_ref()
                .is_some_and(|a| a.run == self.run.id && a.ended.is_none())
    }

    /// Takes down what attempts of this run had set up, the last one first.
    fn tear_down(&mut self) {
        let run_id = self.run.id.clone();
        for (ix, attempt, number) in self.attempts.clone().into_iter().rev() {
            let steps = self.plan().task(ix).teardown.clone();
            if !steps.is_empty() {
                self.clean(ix, &run_id, &attempt, number, &steps, "teardown");
                if let Some(row) = self.rows[ix.0].as_mut() {
                    row.torn_down = true;
                }
            }
        }
    }

    /// Makes the checks of gates and criteria, and records findings that are news.
    fn conclude(&mut self) {
        let _span = timings::phase("conclude");
        if self.run.room.cancelled().is_some() || self.ledger_failure.is_some() || self.withheld.is_some() {
            return;
        }
        let plan = self.run.plan;
        let gates = plan.gates.iter().map(|g| ("gate", &g.title, &g.checks, &g.requires[..]));
        let criteria = plan.criteria.iter().map(|c| ("criterion", &c.title, &c.checks, &[][..]));
        for (about, title, checks, requires) in gates.chain(criteria) {
            if checks.is_empty() {
                continue;
            }
            self.ask_unasked(requires);
            self.ask_doubted(requires);
            if !self.all_met(requires) {
                continue;
            }
            let key = (about.to_owned(), title.clone());
            let stands_on = probe::stands_on(checks, self.run.world, self.run.secrets);
            let known = self.run.history.conclusions.get(&key);
            // Checks that read nothing but files find the same in the same files.
            if checks.iter().all(|c| c.check.is_local()) && known.is_some_and(|k| k.stands_on == stands_on) {
                continue;
            }
            let found = self.run.secrets.veiled(Concluded {
                about: about.to_owned(),
                title: title.clone(),
                stands_on,
                checks: observe_all(checks.iter(), self.run.world, ".".into(), &self.observed.facts),
            });
            if self.run.history.conclusions.get(&key) != Some(&found) {
                self.record(None, &Event::Concluded(found.clone()));
                self.run.history.conclusions.insert(key, found);
            }
        }
    }

    /// Records what was asked for and is left undone.
    fn leave(&mut self) {
        let _span = timings::phase("leave");
        let plan = self.run.plan;
        self.observed.deliverables = deliverables(plan, self.run.world);
        for ix in plan.all() {
            if !self.asked.selected[ix.0] {
                continue;
            }
            let Some(row) = &self.rows[ix.0] else { continue };
            if !matches!(row.state, State::Blocked | State::Waiting | State::Ready) {
                continue;
            }
            let left = self.run.secrets.veiled(status::left(row));
            let id = row.id.clone();
            if self.run.history.task(&id).left.as_ref() == Some(&left) {
                continue;
            }
            let at = self.run.world.now();
            if !self.record(Some(&id), &Event::TaskLeft(left.clone())) {
                return;
            }
            let past = self.run.history.tasks.entry(id).or_default();
            if past.left.as_ref().map(|l| &l.state) != Some(&left.state) {
                past.left_since = Some(at);
            }
            past.left = Some(left);
        }
    }
}

/// What a worker needs to know about its attempt.
struct Prepared {
    run: String,
    attempt: String,
    log: Utf8PathBuf,
    scratch: Utf8PathBuf,
    recorded: BTreeMap<(String, String), f64>,
    facts: BTreeMap<String, Result<String, String>>,
    /// An input that can't be read.
    unread: Option<Unreadable>,
}

impl Prepared {
    fn job<'p>(&'p self, plan: &'p Plan, task: &'p Task, secrets: &'p Secrets) -> Job<'p> {
        Job {
            plan,
            task,
            run: &self.run,
            attempt: &self.attempt,
            log: &self.log,
            scratch: &self.scratch,
            recorded: &self.recorded,
            facts: &self.facts,
            secrets,
        }
    }
}

/// Digest of all that a result follows from. Two attempts with the same one have the same result, so what stands on
/// the first also stands on the second.
fn result_of(task: &Task, started: &TaskStarted, subjects: &crate::observed::Files) -> Digest {
    let mut hasher = blake3::Hasher::new();
    let mut part = |text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    part(&task.id);
    for (key, digest) in &started.definition.keys {
        part(key);
        part(&digest.to_string());
    }
    for (name, value) in &started.definition.vars {
        part(name);
        part(value);
    }
    for (path, digest) in started.inputs.iter().chain(subjects) {
        part(path.as_str());
        part(&digest.map(|d| d.to_string()).unwrap_or_default());
    }
    for (name, tool) in &started.tools {
        part(name);
        part(tool.version.as_deref().unwrap_or_default());
    }
    for (name, digest) in &started.needs {
        part(name);
        part(&digest.to_string());
    }
    Digest::from_hasher(&hasher)
}

/// Makes checks outside an attempt.
fn observe_all<'c>(
    checks: impl Iterator<Item = &'c CheckSpec>,
    world: &dyn World,
    cwd: &camino::Utf8Path,
    facts: &BTreeMap<String, Result<String, String>>,
) -> Vec<CheckRecord> {
    let cwd = world.root().join(cwd);
    let cx =
        Context { world, scope: &NoScope, env: &[], cwd: &cwd, limit: CONCLUDE_LIMIT, timeline: &NoTimeline };
    checks
        .filter(|spec| {
            spec.when.as_ref().is_none_or(|when| {
                let fact = |name: &str| {
                    facts.get(name).cloned().unwrap_or_else(|| Err("it was not asked".to_owned()))
                };
                when.evaluate(&fact) == condition::Outcome::Holds
            })
        })
        // Something that is looked at again is there or it is not: no time is given for it to appear.
        .map(|spec| CheckRecord { says: spec.says(), finding: spec.check.observe(&cx) })
        .collect()
}
