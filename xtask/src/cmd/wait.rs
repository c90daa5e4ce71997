//! `resume --wait`: passes like those of `resume`, and between them nothing but waiting, with the run lock free.
//!
//! What is released while a pass runs starts in that pass; the next pass begins when something is released while
//! nothing runs, or when somebody else has written to the ledger.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::open;
use super::run::{Mode, Opened, Pass, Session, choose, follow, tell};
use crate::cli::{Global, RunArgs};
use crate::drive::{Asked, Known, News};
use crate::exec::Cause;
use crate::failure::Failure;
use crate::ids::{NeedIx, TaskIx};
use crate::ledger::History;
use crate::observed::{Probe, Verdict};
use crate::status::State;
use crate::ui::Ui;
use crate::view;
use crate::wait::{self, Outlook, Told, Wait, Waits, Watcher};
use crate::wording;
use crate::world::World as _;

/// How often it is tried to take the run lock while another run holds it.
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// `resume --wait`
pub fn resume(global: &Global, args: &RunArgs, limit: Option<Duration>, ui: &Ui) -> Result<u8, Failure> {
    let project = open(global, ui)?;
    // A call that is wrong leaves nothing behind, not even an empty ledger.
    choose(&project.plan, &History::default(), args, Mode::Resume)?;
    let until = limit.and_then(|limit| Instant::now().checked_add(limit));
    let session = Session::new(&project, ui);
    let news = session.inbox.sender();
    let watcher = Watcher::start(Arc::clone(&project.plan), Arc::new(session.world.clone()), move |told| {
        // Nobody listens any more at the end.
        let _ = news.send(match told {
            Told::Answer(need, probe) => News::Answer(need, probe),
            Told::FileChanged => News::Ledger,
            Told::Trouble(what) => News::Trouble(what),
        });
    });
    let n = project.plan.tasks.len();
    let mut waiting = Waiting {
        session: &session,
        args,
        ui,
        until,
        watcher: &watcher,
        named: vec![false; n],
        tried: vec![false; n],
        started: 0,
        answers: vec![None; project.plan.prerequisites.len()],
        fresh: vec![false; project.plan.prerequisites.len()],
        shown: Shown::default(),
    };
    session.is_waiting.store(true, Ordering::SeqCst);
    let last = waiting.passes();
    let started = waiting.started;
    let signal = session.room.cancelled().and_then(Cause::exit_code);
    // Ends the questions that are under way, so that nothing is left behind.
    session.room.cancel(Cause::Caller);
    drop(watcher);
    let Some(mut pass) = last? else {
        // Another run was under way all the time.
        return Ok(signal.unwrap_or(crate::failure::exit::BLOCKED));
    };
    tell(&project, &mut pass.ran, started, &pass.asked.selected, args, ui);
    super::service::tell(&project, &pass.ran, &pass.asked.selected, &session.world, ui);
    pass.trouble.map_or(Ok(signal.unwrap_or(pass.code)), Err)
}

/// What is known between two passes.
struct Waiting<'a> {
    session: &'a Session<'a>,
    args: &'a RunArgs,
    ui: &'a Ui,
    until: Option<Instant>,
    watcher: &'a Watcher,
    /// What was asked for so far.
    named: Vec<bool>,
    /// What was run so far.
    tried: Vec<bool>,
    started: usize,
    /// By prerequisite: the last answer, and whether it came since the last pass.
    answers: Vec<Option<Probe>>,
    fresh: Vec<bool>,
    /// What was said last.
    shown: Shown,
}

/// What was said last, and every verdict that was said of a prerequisite.
#[derive(Default)]
struct Shown {
    waits: Waits,
    verdicts: Vec<(NeedIx, Verdict)>,
}

impl Shown {
    /// Whether that is news. "Not running" and "could not tell" may follow each other for ever: each is said once.
    fn is_news(&self, items: &[Wait]) -> bool {
        let said = |wait: &Wait| {
            matches!(wait.verdict, Verdict::NotRunning | Verdict::CouldNotTell)
                && self.verdicts.contains(&(wait.need, wait.verdict))
        };
        let same = |(old, new): (&Wait, &Wait)| {
            Wait { verdict: new.verdict, ..*old } == *new && (old.verdict == new.verdict || said(new))
        };
        items.len() != self.waits.items.len() || !self.waits.items.iter().zip(items).all(same)
    }
}

/// Why waiting is over.
#[derive(Debug, PartialEq, Eq)]
enum Over {
    /// There may be something to do.
    Released,
    /// The time is up, or the room is cancelled.
    Enough,
}

impl Waiting<'_> {
    /// Passes until nothing is left to wait for. Returns the last one, if there was any.
    fn passes(&mut self) -> Result<Option<Pass>, Failure> {
        let mut last = None;
        loop {
            let Some(opened) = self.open()? else { return Ok(last) };
            let pass = self.pass(opened)?;
            let over = self.session.room.cancelled().is_some()
                || pass.trouble.is_some()
                || (self.args.fail_fast && self.failed(&pass));
            if over || self.wait(&pass) == Over::Enough {
                return Ok(Some(pass));
            }
            last = Some(pass);
        }
    }

    /// Takes the run lock, and waits for it if another run holds it. Nothing if the time is up, or at a signal.
    fn open(&self) -> Result<Option<Opened>, Failure> {
        let mut is_told = false;
        loop {
            let holder = match self.session.try_open()? {
                Ok(opened) => return Ok(Some(opened)),
                Err(holder) => holder,
            };
            // A record that is made by hand takes a moment only: no word about it.
            if let Some(holder) = holder.filter(|_| !std::mem::replace(&mut is_told, true)) {
                self.ui.say(&format!(
                    "the run with process id {} on `{}` is under way; going on when it ends",
                    holder.pid, holder.host
                ));
            }
            if self.until.is_some_and(|until| Instant::now() >= until) {
                self.time_is_up();
                return Ok(None);
            }
            if !self.session.room.sleep(LOCK_PAUSE) {
                return Ok(None);
            }
        }
    }

    fn pass(&mut self, opened: Opened) -> Result<Pass, Failure> {
        let plan = &self.session.project.plan;
        self.watcher.watch_file(None);
        let mut asked = choose(plan, &opened.history, self.args, Mode::Resume)?;
        // What was asked for once stays so.
        for (named, before) in asked.named.iter_mut().zip(&self.named) {
            *named |= before;
        }
        asked.selected = plan.closure(plan.all().filter(|ix| asked.named[ix.0]));
        asked.tried.clone_from(&self.tried);
        self.named.clone_from(&asked.named);
        follow(plan, self.args, &asked, self.ui);
        let known: Vec<Option<Known>> = (self.answers.iter().zip(&self.fresh))
            .map(|(probe, fresh)| probe.clone().map(|probe| Known { probe, fresh: *fresh }))
            .collect();
        self.session.is_waiting.store(false, Ordering::SeqCst);
        let pass = self.session.pass(opened, asked, self.args, known, Some(self.watcher));
        self.session.is_waiting.store(true, Ordering::SeqCst);
        for (tried, ran) in self.tried.iter_mut().zip(&pass.ran.ran) {
            *tried |= ran;
        }
        self.started += pass.ran.started;
        self.answers.clone_from(&pass.ran.observed.prerequisites);
        self.fresh.fill(false);
        Ok(pass)
    }

    fn failed(&self, pass: &Pass) -> bool {
        let failed = |ix: TaskIx| self.tried[ix.0] && pass.ran.rows[ix.0].state == State::Failed;
        self.session.project.plan.all().any(failed)
    }

    fn waits(&self, pass: &Pass) -> Waits {
        self.outlook(pass, |outlook| outlook.waits(&self.answers, |p| wait::is_fixed(p, &self.session.world)))
    }

    fn outlook<T>(&self, pass: &Pass, with: impl FnOnce(Outlook<'_>) -> T) -> T {
        let rows = &pass.ran.rows;
        let wanted = |Asked { selected, .. }: &Asked| -> Vec<bool> {
            let given_up = |i: usize| self.tried[i] && rows[i].state == State::Failed;
            selected.iter().enumerate().map(|(i, selected)| *selected && !given_up(i)).collect()
        };
        with(Outlook { plan: &self.session.project.plan, rows, wanted: &wanted(&pass.asked) })
    }

    /// Waits until something is released.
    fn wait(&mut self, pass: &Pass) -> Over {
        let (session, watcher) = (self.session, self.watcher);
        let mut waits = self.waits(pass);
        if waits.items.is_empty() {
            view::not_waiting(&session.project.plan, &waits).iter().for_each(|line| self.ui.say(line));
            return Over::Enough;
        }
        watcher.watch(waits.needs(), self.answers.clone());
        let ledger = session.project.home.ledger();
        watcher.watch_file(Some((ledger.clone(), pass.ledger)));
        let mut line = self.say(&waits);
        loop {
            if session.room.cancelled().is_some() {
                return Over::Enough;
            }
            match session.inbox.next(self.until) {
                Some(News::Answer(need, probe)) => {
                    let was = self.answers[need.0].as_ref().map(|probe| probe.verdict);
                    if was == Some(probe.verdict) {
                        continue;
                    }
                    let releases = self.outlook(pass, |outlook| outlook.releases(&self.answers, need));
                    let is_met = probe.is_met();
                    wait::note(&session.project.plan, &mut self.answers, need, probe);
                    self.fresh[need.0] = true;
                    if is_met {
                        drop(line);
                        self.ui.say(&wait::met_line(&session.project.plan, need, releases));
                        return Over::Released;
                    }
                    waits = self.waits(pass);
                    line = self.say(&waits);
                }
                // The news may be of what the last pass has written itself.
                Some(News::Ledger) if session.world.stamp(&ledger) == pass.ledger => {}
                Some(News::Ledger) => return Over::Released,
                Some(News::Trouble(what)) => self.ui.warn(&what),
                Some(News::Signal | News::Ended(..)) => {}
                None => {
                    drop(line);
                    self.time_is_up();
                    return Over::Enough;
                }
            }
        }
    }

    /// Says what is waited for, if that is not what was said last.
    fn say(&mut self, waits: &Waits) -> crate::ui::Doing {
        let plan = &self.session.project.plan;
        if self.shown.is_news(&waits.items) {
            let left = self.until.map(|until| until.saturating_duration_since(Instant::now()));
            let text = view::waiting(plan, waits, left, self.ui.talk_look());
            text.lines().for_each(|line| self.ui.say(line));
            self.shown.waits.items.clone_from(&waits.items);
            self.shown.verdicts.extend(waits.items.iter().map(|wait| (wait.need, wait.verdict)));
        }
        if self.shown.waits.fixed != waits.fixed {
            view::not_waiting(plan, waits).iter().for_each(|line| self.ui.say(line));
            self.shown.waits.fixed.clone_from(&waits.fixed);
        }
        let names: Vec<&str> =
            waits.items.iter().map(|wait| plan.prerequisites[wait.need.0].name.as_str()).collect();
        self.ui.waiting(&wording::list(&names))
    }

    fn time_is_up(&self) {
        self.ui.say("the time is up");
    }
}
