//! `run`, `resume`, and the id of the pipeline: what is to be done is chosen, done, recorded and reported.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::settled::Settled;
use super::{Project, find_phase, find_task, git, open};
use crate::cli::{Global, RunArgs};
use crate::drive::{self, Asked, Inbox, Known, News, Ran, Run};
use crate::exec::{Instance, Listener, Room, Signalled};
use crate::failure::{Failure, exit};
use crate::ids::TaskIx;
use crate::ledger::event::{Event, RunEnded};
use crate::ledger::history::Health;
use crate::ledger::store::{Ledger, Refused, Withheld, health_notes};
use crate::ledger::{History, store};
use crate::pipeline::Plan;
use crate::pipeline::policy::Policy;
use crate::status::{self, Reason, Row, State, Status, Summary};
use crate::timings;
use crate::ui::Ui;
use crate::view;
use crate::wait::Watcher;
use crate::world::trace::Trace;
use crate::world::{Real, Remembered, Stamp, World as _};

/// What is asked for if no task is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Everything.
    All,
    /// What earlier runs were asked for and did not finish.
    Resume,
}

/// Reads the pipeline and runs it.
pub fn run(global: &Global, args: &RunArgs, mode: Mode, ui: &Ui) -> Result<u8, Failure> {
    match settled(global, args, ui) {
        Ok(code) => Ok(code),
        Err(settled) => run_project(&open(global, ui)?, args, mode, settled, ui),
    }
}

/// Looks whether the last call found nothing to do and nothing has changed since; then this one is over.
pub fn settled(global: &Global, args: &RunArgs, ui: &Ui) -> Result<u8, Option<Settled>> {
    if args.dry_run || args.json { Err(None) } else { Settled::again(global, ui) }
}

/// Runs a pipeline that was read.
pub fn run_project(
    project: &Project,
    args: &RunArgs,
    mode: Mode,
    settled: Option<Settled>,
    ui: &Ui,
) -> Result<u8, Failure> {
    if args.dry_run {
        return dry_run(project, args, mode, ui);
    }
    // A call that is wrong leaves nothing behind, not even an empty ledger.
    choose(&project.plan, &History::default(), args, mode)?;
    super::warn_of_short_secrets(project, ui);
    let mut session = Session::new(project, ui);
    if settled.is_some() {
        session.world = session.world.traced();
    }
    let opened = session.open()?;
    let asked = choose(&project.plan, &opened.history, args, mode)?;
    follow(&project.plan, args, &asked, ui);
    let mut pass = session.pass(opened, asked, args, Vec::new(), None);
    let started = pass.ran.started;
    let lines = tell(project, &mut pass.ran, started, &pass.asked.selected, args, ui);
    super::service::tell(project, &pass.ran, &pass.asked.selected, &session.world, ui);
    if let (Some(settled), Some(asked)) = (settled, pass.found_nothing(project, ui)) {
        settled.keep(asked, &session.world, &lines);
    }
    pass.trouble.map_or(Ok(pass.code), Err)
}

/// What one call works with, in as many passes as it makes.
pub(super) struct Session<'a> {
    pub(super) project: &'a Project,
    pub(super) room: Arc<Room>,
    pub(super) world: Real,
    pub(super) inbox: Inbox,
    /// True while nothing runs.
    pub(super) is_waiting: Arc<AtomicBool>,
    ui: &'a Ui,
    instance: Instance,
    /// What is odd about the ledger is told once.
    is_told: Cell<bool>,
    /// Kept until the process ends.
    _listener: Option<Listener>,
}

/// The ledger, open for one pass.
pub(super) struct Opened {
    ledger: Ledger,
    pub(super) history: History,
    id: String,
}

/// What a pass came to.
pub(super) struct Pass {
    pub(super) ran: Ran,
    pub(super) asked: Asked,
    pub(super) code: u8,
    /// What tells the ledger as this pass has left it from one that somebody else has written to.
    pub(super) ledger: Option<Stamp>,
    /// What could not be written.
    pub(super) trouble: Option<Failure>,
    /// What was asked of the outside, if that was noted.
    trace: Option<Trace>,
}

impl Pass {
    /// What was asked of the outside, if nothing was to be done, recorded or written.
    fn found_nothing(&mut self, project: &Project, ui: &Ui) -> Option<Trace> {
        let nothing = self.code == exit::DONE
            && self.trouble.is_none()
            && !self.ran.recorded
            && self.ran.history.health == Health::default()
            && project.plan.report.is_none()
            && project.too_short.is_empty()
            && !ui.secrets().any();
        self.trace.take().filter(|_| nothing)
    }
}

impl<'a> Session<'a> {
    /// Listens for signals from now on.
    pub(super) fn new(project: &'a Project, ui: &'a Ui) -> Self {
        let room = Arc::new(Room::new());
        let _span = timings::phase("read what is known of files");
        let remembered = Remembered::load(&project.home.digests());
        let inbox = Inbox::new();
        let is_waiting = Arc::new(AtomicBool::new(false));
        let (news, waits, talk) = (inbox.sender(), Arc::clone(&is_waiting), ui.talk());
        let listener = room.listen(move |signal| {
            match signal {
                Signalled::First(_) if waits.load(Ordering::SeqCst) => talk.say("stopped waiting"),
                Signalled::First(_) => {
                    talk.say("stopping: what is under way is ended and cleaned up; once more to kill it");
                }
                Signalled::Second(_) => talk.say("killing everything"),
            }
            // After the line: who waits ends the process.
            let _ = news.send(News::Signal);
        });
        if let Err(error) = &listener {
            ui.warn(&format!("signals can't be handled: {error}"));
        }
        Self {
            project,
            world: Real::new(project.root.clone(), Arc::clone(&room), remembered),
            room,
            inbox,
            is_waiting,
            ui,
            instance: Instance::current(),
            is_told: Cell::new(false),
            _listener: listener.ok(),
        }
    }

    /// Takes the run lock and reads the ledger; nothing if another run holds it, with who that is.
    pub(super) fn try_open(&self) -> Result<Result<Opened, Option<Instance>>, Failure> {
        let id = drive::new_id(&self.instance, self.world.now(), 0)[..12].to_owned();
        match Ledger::open(&self.project.home, &id, &self.instance, self.ui.secrets()) {
            Ok((ledger, history)) => {
                if !self.is_told.replace(true) {
                    let notes = health_notes(&self.project.home, &history.health);
                    notes.iter().for_each(|note| self.ui.warn(note));
                }
                Ok(Ok(Opened { ledger, history, id }))
            }
            Err(Refused::Held(holder)) => Ok(Err(holder)),
            Err(refused) => Err(refusal(self.project, refused)),
        }
    }

    /// The same; that another run holds the lock is a failure.
    fn open(&self) -> Result<Opened, Failure> {
        self.try_open()?.map_err(|holder| refusal(self.project, Refused::Held(holder)))
    }

    /// Does what can be done, records it, writes the report, and lets go of the run lock.
    pub(super) fn pass(
        &self,
        opened: Opened,
        asked: Asked,
        args: &RunArgs,
        known: Vec<Option<Known>>,
        watcher: Option<&Watcher>,
    ) -> Pass {
        let Opened { ledger, history, id } = opened;
        let project = self.project;
        let world = self.world.clone().of_run(&id);
        let run = Run {
            plan: &project.plan,
            history,
            ledger: &ledger,
            home: &project.home,
            world: &world,
            room: &self.room,
            ui: self.ui,
            secrets: self.ui.secrets(),
            id,
            instance: self.instance.clone(),
            arguments: project.plan.shown_arguments(std::env::args().skip(1)),
            git: Box::new(|| git(&project.root)),
            inbox: &self.inbox,
            known,
            watcher,
        };
        let mut ran = drive::drive(run, &asked);
        let trace = world.take_trace();
        let code = match ran.log_failure {
            Some(_) => exit::LEDGER,
            None => exit_code(&ran, &asked, args, &self.room),
        };
        let withheld = ran.ledger_failure.take_if(|error| error.is::<Withheld>());
        if ran.recorded && ran.ledger_failure.is_none() {
            let code = if withheld.is_some() { exit::LEDGER } else { code };
            let ended = Event::RunEnded(RunEnded { exit: code });
            let keep = project.plan.keep;
            // Reading the whole ledger is left out where no task has so many logs.
            let pruned = if ran.history.tasks.values().any(|t| u64::from(t.attempts) > keep.max(1)) {
                let notes = ledger.prune(self.world.now(), keep);
                notes.map(|notes| notes.iter().for_each(|note| self.ui.warn(note)))
            } else {
                Ok(())
            };
            ran.ledger_failure = pruned.and_then(|()| ledger.append(self.world.now(), None, &ended)).err();
        }
        let span = timings::phase("write what is known of files");
        self.world.remember(&project.home.digests(), self.ui.secrets());
        drop(span);
        // Nobody else writes as long as it is open.
        let stamp = self.world.stamp(&project.home.ledger());
        let closed = ledger.close();
        // Read back: a report is made of what is on disk, and of nothing that only this run remembers.
        let is_reported = project.plan.report.is_some() || args.json || self.ui.service().is_some();
        let read = (ran.recorded && is_reported).then(|| store::read(&project.home));
        let reported = match read.transpose() {
            Ok(history) => {
                ran.history = history.unwrap_or(ran.history);
                write_report(project, &ran.history, &self.world, self.ui)
            }
            Err(error) => Err(Failure::ledger(error)),
        };
        let written = ran.ledger_failure.take().map_or(closed, Err);
        let written = written.and_then(|()| ran.log_failure.take().map_or(Ok(()), Err)).map_err(|error| {
            Failure::ledger(error)
                .hint("what ended before this is on record; make room or mend the permissions, and run again")
        });
        let kept = withheld.map_or(Ok(()), |error| {
            Err(Failure::ledger(error)
                .hint("take it out of the name; or, if it is no secret, name it under `plain`"))
        });
        let trouble = kept.and(written).and(reported).err();
        Pass { ran, asked, code, ledger: stamp, trouble, trace }
    }
}

pub(super) fn refusal(project: &Project, refused: Refused) -> Failure {
    match refused {
        Refused::Held(holder) => {
            let by = holder.map_or_else(
                || "another run".to_owned(),
                |h| format!("the run with process id {} on `{}`", h.pid, h.host),
            );
            Failure::ledger(anyhow::anyhow!("{by} holds the lock of `{}`", project.home.dir()))
                .hint("wait for it to end, or stop it")
        }
        Refused::Newer(format) => {
            let error =
                anyhow::anyhow!("`{}` was written by a newer xtask (format {format})", project.home.ledger());
            Failure::ledger(error).hint("use that version; this one can still show `status` and `report`")
        }
        Refused::Io(error) => Failure::ledger(error),
    }
}

/// The tasks that are asked for, and all that they stand on.
pub(super) fn choose(plan: &Plan, history: &History, args: &RunArgs, mode: Mode) -> Result<Asked, Failure> {
    let mut named = vec![false; plan.tasks.len()];
    if let Some(id) = &args.follow {
        find_task(plan, id)?;
    }
    for id in &args.task {
        named[find_task(plan, id)?.0] = true;
    }
    for id in &args.phase {
        let phase = find_phase(plan, id)?;
        phase.tasks.iter().for_each(|ix| named[ix.0] = true);
    }
    if args.task.is_empty() && args.phase.is_empty() {
        // What was never tried is not to be gone on with.
        named.iter_mut().enumerate().for_each(|(i, n)| {
            let past = history.task(&plan.tasks[i].id);
            *n = mode == Mode::All || past.last.is_some() || past.left.is_some();
        });
    }
    let selected = plan.closure(plan.all().filter(|ix| named[ix.0]));
    let jobs =
        args.jobs.or_else(|| std::thread::available_parallelism().ok()).map_or(1, std::num::NonZero::get);
    let tried = vec![false; named.len()];
    Ok(Asked { selected, named, force: args.force, fail_fast: args.fail_fast, jobs, tried })
}

/// Shows the log of the task that is to be followed, if there is one.
pub(super) fn follow(plan: &Plan, args: &RunArgs, asked: &Asked, ui: &Ui) {
    let Some(id) = &args.follow else { return };
    let is_asked = plan.find(id).is_some_and(|ix| asked.selected[ix.0]);
    if ui.follow(id) && !is_asked {
        ui.warn(&format!("`{id}` can't be followed: it is not among what was asked for"));
    }
}

/// One number for what became of everything that was asked for.
fn exit_code(ran: &Ran, asked: &Asked, args: &RunArgs, room: &Room) -> u8 {
    if let Some(code) = room.cancelled().and_then(crate::exec::Cause::exit_code) {
        return code;
    }
    let rows: Vec<&Row> =
        ran.rows.iter().enumerate().filter(|(i, _)| asked.selected[*i]).map(|(_, r)| r).collect();
    let policy = |row: &Row| if args.blocked_ok { row.policy.map(|_| Policy::Ok) } else { row.policy };
    if rows.iter().any(|r| r.state == State::Failed || policy(r) == Some(Policy::Fail)) {
        exit::FAILED
    } else if rows.iter().all(|r| r.state.satisfies() || policy(r) == Some(Policy::Ok)) || args.blocked_ok {
        exit::DONE
    } else {
        exit::BLOCKED
    }
}

/// Renders the report from evidence and writes it if it says something new.
pub(super) fn write_report(
    project: &Project,
    history: &History,
    world: &Real,
    ui: &Ui,
) -> Result<(), Failure> {
    let Some(path) = &project.plan.report else { return Ok(()) };
    let _span = timings::phase("write the report");
    let observed = drive::recall(&project.plan, history, world);
    let status = status::status(&project.plan, history, &observed);
    let text = super::report::committable(project, history, status, ui)?;
    super::report::write(&project.root.join(path), &text)
}

/// Says the last lines: what there is, what is in the way, and what to do next. Returns them.
pub(super) fn tell(
    project: &Project,
    ran: &mut Ran,
    started: usize,
    selected: &[bool],
    args: &RunArgs,
    ui: &Ui,
) -> Vec<String> {
    let _span = timings::phase("tell");
    let asked = Summary::of(ran.rows.iter().enumerate().filter(|(i, _)| selected[*i]).map(|(_, row)| row));
    let observed = full(project, &ran.observed, &ran.history);
    let plan = &project.plan;
    // Where nothing else is known, the states are those that were found.
    let known = !args.json && observed.prerequisites == ran.observed.prerequisites;
    let mut status = match known {
        true => status::of_rows(plan, &ran.history, &observed, ran.rows.clone()),
        false => status::status(plan, &ran.history, &observed),
    };
    if args.json {
        if let Ok(text) = super::report::json(&ui.secrets().veiled(status)) {
            ui.exactly(&text);
        }
        return Vec::new();
    }
    // Nothing is said of the others, so nothing has to be hidden in them.
    status.tasks.retain(|row| !row.state.satisfies());
    let status = ui.secrets().veiled(status);
    let look = ui.talk_look();
    let closing = view::closing(&status, &asked, started, look);
    let mut lines: Vec<String> = closing.lines().map(str::to_owned).collect();
    let report = project.plan.report.iter();
    lines.extend(report.map(|path| look.with_file(&format!("report: {path}"), path)));
    lines.iter().for_each(|line| ui.say(line));
    lines
}

/// What a run observed, with what is on record where it did not look.
fn full(
    project: &Project,
    observed: &crate::observed::Observed,
    history: &History,
) -> crate::observed::Observed {
    let mut out = observed.clone();
    for (i, p) in project.plan.prerequisites.iter().enumerate() {
        if out.prerequisites[i].is_none() {
            out.prerequisites[i] = history.probes.get(&p.name).map(|(probe, _)| probe.clone());
        }
    }
    out
}

/// Shows what a run would do.
fn dry_run(project: &Project, args: &RunArgs, mode: Mode, ui: &Ui) -> Result<u8, Failure> {
    let history = super::history(project, ui)?;
    let asked = choose(&project.plan, &history, args, mode)?;
    let world = looking(project);
    let observed = drive::look(&project.plan, &history, &world, &asked.selected, &project.home);
    let status = ui.secrets().veiled(status::status(&project.plan, &history, &observed));
    let runs = would_run(&project.plan, &status, &asked);
    if args.json {
        let ids: Vec<&str> = runs.iter().map(|ix| project.plan.task(*ix).id.as_str()).collect();
        let value = serde_json::json!({ "version": status::VERSION, "would_run": ids, "status": status });
        ui.json(&value);
    } else {
        let is_left = |ix: &TaskIx| asked.selected[ix.0] && !runs.contains(ix);
        let left = project.plan.all().filter(is_left).map(|ix| &status.tasks[ix.0]);
        let left: Vec<&Row> = left.filter(|row| !row.state.satisfies()).collect();
        ui.data(&view::dry_run(&project.plan, &status, &runs, &left, ui.look()));
    }
    let left = project
        .plan
        .all()
        .filter(|ix| asked.selected[ix.0] && !runs.contains(ix))
        .any(|ix| !status.tasks[ix.0].state.satisfies());
    Ok(if left && !args.blocked_ok { exit::BLOCKED } else { exit::DONE })
}

/// Tasks that would start if every one of them passed, in an order in which they could.
fn would_run(plan: &Plan, status: &Status, asked: &Asked) -> Vec<TaskIx> {
    let mut out = Vec::new();
    for ix in &plan.order {
        let row = &status.tasks[ix.0];
        let forced =
            asked.named[ix.0] && (asked.force || plan.task(*ix).always) && row.state != State::Skipped;
        let open = !row.state.satisfies() || forced;
        let own = row.because.iter().any(|r| {
            matches!(r, Reason::Prerequisite { .. } | Reason::Condition { .. } | Reason::Running { .. })
        });
        let needs =
            plan.task(*ix).needs.iter().all(|n| out.contains(n) || status.tasks[n.0].state.satisfies());
        if asked.selected[ix.0] && open && !own && needs {
            out.push(*ix);
        }
    }
    out
}

/// A world for commands that only look. There is nothing to clean up or to record, so a signal ends the questions
/// that are being asked, and then the process.
pub(super) fn looking(project: &Project) -> Real {
    looking_with(project, Remembered::load(&project.home.digests()))
}

/// The same with what is remembered about files.
pub(super) fn looking_with(project: &Project, remembered: Remembered) -> Real {
    let room = Arc::new(Room::new());
    let listener = room.listen(|signal| {
        let (Signalled::First(cause) | Signalled::Second(cause)) = signal;
        #[expect(
            clippy::exit,
            reason = "whoever waits for an answer would only find out later that it is of no use"
        )]
        std::process::exit(i32::from(cause.exit_code().unwrap_or(exit::FAILED)));
    });
    // It listens for as long as the process lives.
    std::mem::forget(listener);
    Real::new(project.root.clone(), room, remembered)
}

/// Opens the ledger for a record made by hand.
pub(super) fn by_hand(project: &Project, world: &Real, ui: &Ui) -> Result<(Ledger, History), Failure> {
    let instance = Instance::current();
    let id = drive::new_id(&instance, world.now(), 0)[..12].to_owned();
    store::Ledger::open(&project.home, &id, &instance, ui.secrets())
        .map_err(|refused| refusal(project, refused))
}
