//! The thread that looks and asks while somebody waits, or runs what was released meanwhile.
//!
//! Questions have threads of their own, so that one that hangs holds up nothing. None is waited for except at the end,
//! when the room is cancelled and their children end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;

use super::timing::{Change, Question, SLOW, Timing};
use super::{Seen, places};
use crate::ids::NeedIx;
use crate::observed::{Probe, Verdict};
use crate::pipeline::{Plan, Prerequisite};
use crate::probe;
use crate::world::{Nearby, Stamp, World};

/// Between two looks after file events: whoever writes much gives many of them.
const BREATH: Duration = Duration::from_millis(20);

/// How often is looked if there are no file events.
const WITHOUT_EVENTS: Duration = Duration::from_millis(100);

/// How long the questions under way get at the end. Their children are ended; connecting can't be.
const LAST: Duration = Duration::from_secs(3);

/// What a watcher tells.
#[derive(Debug)]
pub enum Told {
    /// Asking for a prerequisite came to something new.
    Answer(NeedIx, Probe),
    /// The file changed that was to be kept an eye on.
    FileChanged,
    /// Something does not work as it should; it goes on all the same.
    Trouble(String),
}

/// Looks and asks on a thread of its own.
pub struct Watcher {
    orders: Sender<Order>,
    thread: Option<JoinHandle<()>>,
}

enum Order {
    Watch(Vec<NeedIx>, Vec<Option<Probe>>),
    File(Option<(Utf8PathBuf, Option<Stamp>)>),
    Look,
    Answered(Answered),
    Stop,
}

/// The end of a question.
struct Answered {
    need: NeedIx,
    /// Of the item that it was asked for.
    item: u64,
    asked: Instant,
    question: Question,
    /// Nothing if it had too little time.
    probe: Option<Probe>,
}

impl Watcher {
    /// Watches nothing yet.
    ///
    /// # Panics
    ///
    /// If the system gives no thread.
    pub fn start(
        plan: Arc<Plan>,
        world: Arc<dyn World + Send + Sync>,
        tell: impl Fn(Told) + Send + 'static,
    ) -> Self {
        let (orders, inbox) = mpsc::channel();
        let looking = Arc::new(AtomicBool::new(false));
        let nearby = Nearby::new({
            let (orders, looking) = (orders.clone(), Arc::clone(&looking));
            move || {
                // One order is enough however much happens until it is obeyed.
                if !looking.swap(true, Ordering::SeqCst) {
                    let _ = orders.send(Order::Look);
                }
            }
        });
        let (nearby, trouble) = match nearby {
            Ok(nearby) => (Some(nearby), None),
            Err(why) => (None, Some(why)),
        };
        let now = Instant::now();
        let mut state = State {
            answers: vec![None; plan.prerequisites.len()],
            plan,
            world,
            tell: Box::new(tell),
            orders: orders.clone(),
            has_events: nearby.is_some(),
            nearby,
            looking,
            looked: now,
            armed: now,
            look_at: None,
            items: Vec::new(),
            n_items: 0,
            file: None,
            n_questions: 0,
        };
        if let Some(why) = trouble {
            state.no_events(&why);
        }
        let thread = thread::Builder::new().name("watch".to_owned()).spawn(move || state.run(&inbox));
        Self { orders, thread: Some(thread.expect("the system gives a thread")) }
    }

    /// Watches these prerequisites from now on and no others. `answers` is what is known of all, by position.
    pub fn watch(&self, needs: Vec<NeedIx>, answers: Vec<Option<Probe>>) {
        self.order(Order::Watch(needs, answers));
    }

    /// Keeps an eye on a file that was as its stamp says, or on none.
    pub fn watch_file(&self, file: Option<(Utf8PathBuf, Option<Stamp>)>) {
        self.order(Order::File(file));
    }

    fn order(&self, order: Order) {
        // It listens until it is told to stop.
        let _ = self.orders.send(order);
    }
}

/// Ends it; to be done after the room is cancelled, which ends the questions.
impl Drop for Watcher {
    fn drop(&mut self) {
        self.order(Order::Stop);
        if let Some(thread) = self.thread.take() {
            // It cannot fail in a way that would matter now.
            let _ = thread.join();
        }
    }
}

/// A prerequisite that is watched.
struct Item {
    id: u64,
    need: NeedIx,
    last: Probe,
    /// The verdict that somebody knows.
    told: Verdict,
    seen: Seen,
    /// Nothing while something that it requires is not met.
    timing: Option<Timing>,
}

struct State {
    plan: Arc<Plan>,
    world: Arc<dyn World + Send + Sync>,
    tell: Box<dyn Fn(Told) + Send>,
    orders: Sender<Order>,
    nearby: Option<Nearby>,
    has_events: bool,
    /// True from a file event to the look that follows.
    looking: Arc<AtomicBool>,
    looked: Instant,
    /// When folders were last watched afresh.
    armed: Instant,
    /// When to look because of an event, or because other places matter.
    look_at: Option<Instant>,
    answers: Vec<Option<Probe>>,
    items: Vec<Item>,
    n_items: u64,
    file: Option<(Utf8PathBuf, Option<Stamp>)>,
    /// Questions under way that may have children.
    n_questions: usize,
}

impl State {
    fn run(&mut self, inbox: &Receiver<Order>) {
        loop {
            let now = Instant::now();
            if self.look_at.is_some_and(|at| at <= now) || self.next_look() <= Some(now) {
                self.look();
            }
            self.ask();
            let due = self.items.iter().filter_map(|item| item.timing.as_ref()?.due());
            let next = due.chain(self.look_at).chain(self.next_look()).min();
            let order = match next {
                Some(at) => inbox.recv_timeout(at.saturating_duration_since(Instant::now())),
                None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match order {
                Ok(Order::Watch(needs, answers)) => self.watch(&needs, answers),
                Ok(Order::File(file)) => {
                    self.file = file;
                    self.look_at = Some(Instant::now());
                }
                Ok(Order::Look) => {
                    let at = Instant::now().max(self.looked + BREATH);
                    self.look_at = Some(self.look_at.map_or(at, |before| before.min(at)));
                }
                Ok(Order::Answered(answered)) => self.answered(answered),
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.end(inbox);
    }

    /// Waits for the questions under way, whose children are being ended.
    fn end(&mut self, inbox: &Receiver<Order>) {
        let until = Instant::now() + LAST;
        while self.n_questions > 0 {
            match inbox.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Order::Answered(answered)) => self.ended(answered.need),
                Ok(_) => {}
                Err(_) => break,
            }
        }
    }

    /// When to look even if there is no event.
    fn next_look(&self) -> Option<Instant> {
        let watches = !self.items.is_empty() || self.file.is_some();
        watches.then(|| self.looked + if self.has_events { SLOW } else { WITHOUT_EVENTS })
    }

    fn no_events(&mut self, why: &str) {
        if std::mem::take(&mut self.has_events) {
            (self.tell)(Told::Trouble(format!(
                "file events can't be had, so that files are looked at all the time: {why}"
            )));
        }
    }

    /// Sees to it that file events come from where they are wanted. What happened there before is to be looked at
    /// afterwards.
    fn arm(&mut self, afresh: bool) {
        let mut all: BTreeSet<Utf8PathBuf> = self.file.iter().map(|(path, _)| path.clone()).collect();
        for item in &self.items {
            all.extend(places(&self.plan.prerequisites[item.need.0], item.last.verdict, &*self.world));
        }
        if let Some(nearby) = &mut self.nearby
            && let Err(why) = nearby.watch(&all, afresh)
        {
            self.no_events(&why);
        }
    }

    fn look(&mut self) {
        self.look_at = None;
        // What happens from here on is looked at again.
        self.looking.store(false, Ordering::SeqCst);
        self.looked = Instant::now();
        let afresh = self.has_events && self.looked >= self.armed + SLOW;
        if afresh {
            self.armed = self.looked;
        }
        self.arm(afresh);
        for item in &mut self.items {
            let seen = Seen::now(&self.plan.prerequisites[item.need.0], &*self.world);
            let change = seen.change_since(&item.seen);
            item.seen = seen;
            if let (Some(change), Some(timing)) = (change, &mut item.timing) {
                timing.changed(change, self.looked);
            }
        }
        if let Some((path, before)) = &mut self.file {
            let now = self.world.stamp(path);
            if std::mem::replace(before, now) != now {
                (self.tell)(Told::FileChanged);
            }
        }
    }

    fn watch(&mut self, needs: &[NeedIx], answers: Vec<Option<Probe>>) {
        self.answers = answers;
        let mut old = std::mem::take(&mut self.items);
        for need in needs {
            let unasked = || Probe::unmet(Verdict::CouldNotTell, "it has not been asked yet");
            let last = self.answers[need.0].clone().unwrap_or_else(unasked);
            let kept = old.iter().position(|item| item.need == *need && item.told == last.verdict);
            let item = match kept {
                Some(at) => old.swap_remove(at),
                None => self.item(*need, last),
            };
            self.items.push(item);
        }
        self.look_at = Some(Instant::now());
        self.free();
    }

    fn item(&mut self, need: NeedIx, last: Probe) -> Item {
        let p = &self.plan.prerequisites[need.0];
        let now = Instant::now();
        let seen = Seen::now(p, &*self.world);
        let timing = self.is_free(p).then(|| {
            let mut timing = Timing::new(last.verdict, is_there(p, &last), now);
            if last.verdict == Verdict::Absent && seen.is_complete() {
                // It appeared since it was asked for.
                timing.changed(Change::Program, now);
            }
            timing
        });
        self.n_items += 1;
        Item { id: self.n_items, need, told: last.verdict, last, seen, timing }
    }

    fn is_free(&self, p: &Prerequisite) -> bool {
        p.requires.iter().all(|r| self.answers[r.0].as_ref().is_some_and(Probe::is_met))
    }

    /// What can be asked now for the first time is asked.
    fn free(&mut self) {
        let free: Vec<bool> =
            self.items.iter().map(|item| self.is_free(&self.plan.prerequisites[item.need.0])).collect();
        for (item, free) in self.items.iter_mut().zip(free) {
            if free && item.timing.is_none() {
                item.timing = Some(Timing::unasked(Instant::now()));
            } else if !free {
                item.timing = None;
            }
        }
    }

    /// Asks what is due.
    fn ask(&mut self) {
        let now = Instant::now();
        for at in 0..self.items.len() {
            let item = &mut self.items[at];
            let Some(timing) = &mut item.timing else { continue };
            let Some(question) = timing.ask(now) else { continue };
            let (need, id, last, is_young) = (item.need, item.id, item.last.clone(), timing.is_young(now));
            let (plan, world, orders) =
                (Arc::clone(&self.plan), Arc::clone(&self.world), self.orders.clone());
            self.n_questions += usize::from(has_children(&plan.prerequisites[need.0]));
            let answer =
                move |probe| Order::Answered(Answered { need, item: id, asked: now, question, probe });
            let thread = thread::Builder::new().name("question".to_owned()).spawn(move || {
                let probe = put(question, &plan, need, &last, is_young, &*world);
                // Nobody listens any more if it took too long.
                let _ = orders.send(answer(probe));
            });
            if thread.is_err() {
                let _ = self.orders.send(answer(None));
            }
        }
    }

    fn ended(&mut self, need: NeedIx) {
        self.n_questions -= usize::from(has_children(&self.plan.prerequisites[need.0]));
    }

    fn answered(&mut self, answered: Answered) {
        let Answered { need, item, asked, question, probe } = answered;
        self.ended(need);
        let now = Instant::now();
        let Some(at) = self.items.iter().position(|i| i.id == item) else { return };
        let p = &self.plan.prerequisites[need.0];
        let item = &mut self.items[at];
        let Some(timing) = &mut item.timing else { return };
        let verdict = probe.as_ref().map(|probe| (probe.verdict, is_there(p, probe)));
        let counts = timing.answered(asked, verdict, now);
        let Some(probe) = probe.filter(|_| counts) else { return };
        if probe.is_met() && question != Question::Whole {
            timing.confirm(now);
            return;
        }
        // What is being written is not worth a word.
        let passing = probe.verdict == Verdict::CouldNotTell && timing.is_young(now);
        let news = probe.verdict != item.told && !passing;
        item.last = probe.clone();
        self.answers[need.0] = Some(probe.clone());
        if news {
            item.told = probe.verdict;
        }
        if probe.is_met() {
            self.items.remove(at);
            self.free();
        }
        if news {
            // Other places may matter now.
            self.look_at = Some(now);
            (self.tell)(Told::Answer(need, probe));
        }
    }
}

/// Asks.
fn put(
    question: Question,
    plan: &Plan,
    need: NeedIx,
    last: &Probe,
    is_young: bool,
    world: &dyn World,
) -> Option<Probe> {
    let p = &plan.prerequisites[need.0];
    match question {
        Question::Answers(limit) => probe::answers(p, last, limit.unwrap_or(p.timeout), world),
        Question::Whole => {
            let probe = probe::prerequisite(plan, need, world);
            let unsure = is_young && probe.is_met() && probe.version.is_none();
            Some(if unsure && probe.path.is_some() && !probe::starts(p, world) {
                let why = "it can't be started yet".to_owned();
                Probe { verdict: Verdict::CouldNotTell, why: Some(why), ..probe }
            } else {
                probe
            })
        }
    }
}

/// Whether all but its answer was as it should be, so that only that has to be asked again.
fn is_there(p: &Prerequisite, probe: &Probe) -> bool {
    let told =
        (p.program.is_none() || probe.path.is_some()) && (p.version.is_none() || probe.version.is_some());
    let asked = p.ready.is_some() || p.tcp.is_some();
    match probe.verdict {
        Verdict::NotRunning | Verdict::NoPermission | Verdict::CouldNotTell => told && asked,
        Verdict::Met | Verdict::Absent | Verdict::WrongVersion => false,
    }
}

/// Whether asking starts a child.
fn has_children(p: &Prerequisite) -> bool {
    p.ready.is_some() || p.version_command.is_some() || p.when.is_some()
}
