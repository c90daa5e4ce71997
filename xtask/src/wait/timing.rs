//! When to ask for a prerequisite that somebody waits for. Pure: times go in, the next question comes out.
//!
//! - What is not on PATH is not asked for at all: the look at PATH after each file event tells when it is there.
//! - What does not answer is asked again and again, less and less often, but never so seldom that an answer comes too
//!   late. A question that hangs does not stop that: a second one, with little time, is asked beside it.
//! - What has just changed is asked at once. A program that has just appeared may be written still, so that it is
//!   asked again very soon.

use std::time::{Duration, Instant};

use crate::observed::Verdict;

/// The pause after the first question that got no good answer; the next ones are longer.
const FIRST: Duration = Duration::from_millis(200);

/// The longest time from one question to the next, and what a question beside another one gets.
pub const LONGEST: Duration = Duration::from_millis(1500);

/// The pause after a question to a program that has just changed.
const YOUNG_FIRST: Duration = Duration::from_millis(50);

/// How long a program counts as one that has just changed.
const YOUNG: Duration = Duration::from_secs(10);

/// How often what only file events should tell is looked at all the same: not every file system has them.
pub const SLOW: Duration = Duration::from_secs(5);

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Everything that is declared.
    Whole,
    /// Only whether it answers now: the rest was as it should be. With less time if a question is under way already.
    Answers(Option<Duration>),
}

/// What was seen to have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The program: another file, or the same with another content.
    Program,
    /// Something that the pipeline says to watch.
    Watched,
}

/// When to ask for one prerequisite.
#[derive(Debug)]
pub struct Timing {
    verdict: Verdict,
    /// Whether all but its answer was as it should be when it was last asked.
    there: bool,
    due: Option<Instant>,
    pause: Duration,
    /// The next question is a whole one, unless one is under way.
    whole: bool,
    /// The next question is a whole one in any case.
    confirm: bool,
    whole_at: Instant,
    /// When the questions began that are under way: at most two.
    under_way: Vec<Instant>,
    /// When the last question began.
    asked: Option<Instant>,
    /// When the last one began that was answered.
    answered: Option<Instant>,
    watched_changed: Option<Instant>,
    program_changed: Option<Instant>,
}

impl Timing {
    /// For a prerequisite that was just asked; `there` if all but its answer was as it should be.
    pub fn new(verdict: Verdict, there: bool, now: Instant) -> Self {
        let due = match verdict {
            Verdict::Met | Verdict::Absent => None,
            Verdict::WrongVersion => Some(now + SLOW),
            Verdict::NotRunning | Verdict::NoPermission | Verdict::CouldNotTell => Some(now + FIRST),
        };
        Self {
            verdict,
            there,
            due,
            pause: longer(FIRST),
            whole: false,
            confirm: false,
            whole_at: now,
            under_way: Vec::new(),
            asked: None,
            answered: None,
            watched_changed: None,
            program_changed: None,
        }
    }

    /// For one that can be asked only now, because what it requires is met only now.
    pub fn unasked(now: Instant) -> Self {
        Self { due: Some(now), ..Self::new(Verdict::CouldNotTell, false, now) }
    }

    /// When a question is due.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// True if the program has just changed: it may be written still.
    pub fn is_young(&self, now: Instant) -> bool {
        self.program_changed.is_some_and(|at| now < at + YOUNG)
    }

    /// Something changed.
    pub fn changed(&mut self, change: Change, now: Instant) {
        self.whole = true;
        let after = |pause: Duration| self.asked.map_or(now, |asked| now.max(asked + pause));
        let soon = match change {
            Change::Program => {
                self.program_changed = Some(now);
                self.pause = YOUNG_FIRST;
                after(YOUNG_FIRST)
            }
            // What changes all the time, perhaps because it is asked for, is no reason to ask all the time.
            Change::Watched => {
                let often =
                    self.watched_changed.replace(now).is_some_and(|before| now < before + 2 * LONGEST);
                if often {
                    after(self.pause)
                } else {
                    self.pause = FIRST;
                    now
                }
            }
        };
        self.due = Some(self.due.map_or(soon, |due| due.min(soon)));
    }

    /// The question that is due, if one is; it is under way from now on.
    pub fn ask(&mut self, now: Instant) -> Option<Question> {
        if self.due.is_none_or(|due| now < due) {
            return None;
        }
        let beside = !self.under_way.is_empty();
        if self.under_way.len() > 1 {
            self.due = None;
            return None;
        }
        let whole = self.confirm || !self.there || (!beside && (self.whole || now >= self.whole_at + SLOW));
        if whole {
            self.whole_at = now;
        }
        (self.whole, self.confirm) = (false, false);
        self.under_way.push(now);
        self.asked = Some(now);
        // If this one has no answer by then, the next is asked beside it.
        self.due = (!beside).then_some(now + LONGEST);
        Some(if whole { Question::Whole } else { Question::Answers(beside.then_some(LONGEST)) })
    }

    /// A question that began at `asked` has ended: with a verdict, or without one because its time was short. Returns
    /// whether the verdict counts, which it does not if a later question was answered before.
    pub fn answered(&mut self, asked: Instant, verdict: Option<(Verdict, bool)>, now: Instant) -> bool {
        self.under_way.retain(|begun| *begun != asked);
        let late = self.answered.is_some_and(|newest| asked < newest);
        let Some((verdict, there)) = verdict.filter(|(verdict, _)| !late || *verdict == Verdict::Met) else {
            self.due = self.due.or(Some(now.max(asked + LONGEST)));
            return false;
        };
        self.answered = Some(asked);
        self.there = there;
        if std::mem::replace(&mut self.verdict, verdict) != verdict && !self.is_young(now) {
            self.pause = FIRST;
        }
        self.due = match verdict {
            _ if self.whole => Some(now.max(asked + YOUNG_FIRST)),
            Verdict::Met | Verdict::Absent => None,
            Verdict::WrongVersion => Some(now + SLOW),
            Verdict::NotRunning | Verdict::NoPermission | Verdict::CouldNotTell => {
                let pause = self.pause;
                self.pause = longer(pause);
                Some((asked + pause).max(now + YOUNG_FIRST))
            }
        };
        true
    }

    /// It answered; whether all of it holds is asked now.
    pub fn confirm(&mut self, now: Instant) {
        self.confirm = true;
        self.due = Some(now);
    }
}

fn longer(pause: Duration) -> Duration {
    (pause * 3 / 2).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    const NOT_RUNNING: Option<(Verdict, bool)> = Some((Verdict::NotRunning, true));

    /// Asks whenever it is due, for so many milliseconds; a question takes `takes`, for ever if nothing is said, and is
    /// answered by `verdict`. Returns when questions began, in milliseconds.
    fn times(timing: &mut Timing, start: Instant, to: u64, takes: Option<u64>, verdict: Verdict) -> Vec<u64> {
        let mut out = Vec::new();
        // When each began, when it ends, and whether with a verdict.
        let mut under_way: Vec<(u64, u64, bool)> = Vec::new();
        for at in 0..to {
            let now = start + ms(at);
            for (asked, _, told) in under_way.extract_if(.., |(_, end, _)| *end == at) {
                timing.answered(start + ms(asked), told.then_some((verdict, true)), now);
            }
            let Some(question) = timing.ask(now) else { continue };
            out.push(at);
            let limit = match question {
                Question::Answers(Some(limit)) => limit.as_millis() as u64,
                _ => u64::MAX - at,
            };
            let takes = takes.unwrap_or(u64::MAX - at);
            under_way.push((at, at + takes.min(limit), takes <= limit));
        }
        out
    }

    #[test]
    fn what_does_not_answer_is_asked_less_and_less_often() {
        let start = Instant::now();
        let mut timing = Timing::new(Verdict::NotRunning, true, start);
        let times = times(&mut timing, start, 10_000, Some(5), Verdict::NotRunning);
        let pauses: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(times[0], 200);
        assert_eq!(pauses, [300, 450, 675, 1013, 1500, 1500, 1500, 1500]);
    }

    #[test]
    fn what_is_absent_is_not_asked_for() {
        let start = Instant::now();
        let mut timing = Timing::new(Verdict::Absent, false, start);
        assert_eq!(times(&mut timing, start, 60_000, Some(5), Verdict::Absent), [0; 0]);
        timing.changed(Change::Program, start + ms(60_000));
        assert_eq!(timing.ask(start + ms(60_000)), Some(Question::Whole));
    }

    #[test]
    fn a_wrong_version_is_asked_now_and_then() {
        let start = Instant::now();
        let mut timing = Timing::new(Verdict::WrongVersion, false, start);
        let times = times(&mut timing, start, 16_000, Some(10), Verdict::WrongVersion);
        assert_eq!(times, [5000, 10_010, 15_020]);
    }

    #[test]
    fn a_question_that_hangs_has_others_beside_it() {
        let start = Instant::now();
        let mut timing = Timing::new(Verdict::NotRunning, true, start);
        assert_eq!(timing.ask(start + ms(200)), Some(Question::Answers(None)));
        assert_eq!(timing.due(), Some(start + ms(1700)));
        let short = Some(Question::Answers(Some(LONGEST)));
        assert_eq!(timing.ask(start + ms(1700)), short);
        assert_eq!(timing.due(), None, "two are enough");
        // The short one ends without a verdict, and the next follows at once.
        assert!(!timing.answered(start + ms(1700), None, start + ms(3200)));
        assert_eq!(timing.ask(start + ms(3200)), short);
        // It is answered; what the first one comes to is old.
        assert!(timing.answered(start + ms(3200), NOT_RUNNING, start + ms(3300)));
        assert!(!timing.answered(start + ms(200), Some((Verdict::CouldNotTell, true)), start + ms(5200)));
        assert!(timing.due().is_some());
    }

    #[test]
    fn good_news_count_however_late() {
        let start = Instant::now();
        let mut timing = Timing::new(Verdict::NotRunning, true, start);
        timing.ask(start + ms(200)).unwrap();
        timing.ask(start + ms(1700)).unwrap();
        assert!(timing.answered(start + ms(1700), NOT_RUNNING, start + ms(1800)));
        let beside = timing.due().unwrap();
        timing.ask(beside).unwrap();
        assert!(timing.answered(start + ms(200), Some((Verdict::Met, true)), start + ms(4000)));
        timing.confirm(start + ms(4000));
        assert_eq!(timing.ask(start + ms(4000)), Some(Question::Whole), "also beside another one");
    }

    #[test]
    fn never_is_there_a_longer_silence_than_promised() {
        for takes in [None, Some(1), Some(150), Some(700), Some(1499), Some(1501), Some(4000), Some(9000)] {
            let start = Instant::now();
            let mut timing = Timing::new(Verdict::NotRunning, true, start);
            let times = times(&mut timing, start, 60_000, takes, Verdict::CouldNotTell);
            let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max();
            assert!(longest <= Some(1550), "{takes:?}: {times:?}");
            assert!(times.len() < 80, "{takes:?}: {times:?}");
        }
    }

    #[test]
    fn what_changed_is_asked_at_once() {
        let start = Instant::now();
        for change in [Change::Program, Change::Watched] {
            let mut timing = Timing::new(Verdict::NotRunning, true, start);
            let last = *times(&mut timing, start, 20_000, Some(5), Verdict::NotRunning).last().unwrap();
            let now = start + ms(last + 300);
            timing.changed(change, now);
            assert_eq!(timing.ask(now), Some(Question::Whole), "{change:?}");
        }
    }

    #[test]
    fn a_change_while_a_question_is_under_way_is_asked_beside_it() {
        let start = Instant::now();
        let mut timing = Timing::new(Verdict::NotRunning, true, start);
        timing.ask(start + ms(200)).unwrap();
        timing.changed(Change::Watched, start + ms(300));
        assert_eq!(timing.ask(start + ms(300)), Some(Question::Answers(Some(LONGEST))));
        // With two under way it is asked as soon as one of them has ended.
        timing.changed(Change::Program, start + ms(400));
        assert_eq!(timing.ask(start + ms(400)), None);
        timing.answered(start + ms(300), NOT_RUNNING, start + ms(500));
        assert!(timing.ask(start + ms(500)).is_some());
    }

    #[test]
    fn a_program_that_is_being_written_is_asked_again_and_again() {
        let start = Instant::now();
        let mut timing = Timing::new(Verdict::Absent, false, start);
        let mut asked = Vec::new();
        let mut last = None;
        for at in 0..1000 {
            let now = start + ms(at);
            if let Some(begun) = last.take() {
                timing.answered(begun, Some((Verdict::CouldNotTell, false)), now);
            }
            if at % 7 == 0 {
                timing.changed(Change::Program, now);
            }
            if timing.ask(now).is_some() {
                asked.push(at);
                last = Some(now);
            }
        }
        assert!((15..=20).contains(&asked.len()), "{asked:?}");
        let longest = asked.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(longest <= Some(60), "{asked:?}");
        assert!(timing.is_young(start + ms(1000)) && !timing.is_young(start + ms(12_000)));
    }

    #[test]
    fn what_changes_because_it_is_asked_does_not_go_in_circles() {
        let start = Instant::now();
        let mut timing = Timing::new(Verdict::NotRunning, true, start);
        let mut asked = Vec::new();
        let mut last = None;
        for at in 0..20_000 {
            let now = start + ms(at);
            if let Some(begun) = last.take() {
                timing.answered(begun, NOT_RUNNING, now);
                timing.changed(Change::Watched, now);
            }
            if timing.ask(now).is_some() {
                asked.push(at);
                last = Some(now);
            }
        }
        assert!(asked.len() < 25, "{asked:?}");
    }

    #[test]
    fn whole_questions_come_now_and_then() {
        let start = Instant::now();
        let mut timing = Timing::new(Verdict::NotRunning, true, start);
        let mut whole = Vec::new();
        for at in 0..20_000 {
            let now = start + ms(at);
            match timing.ask(now) {
                Some(Question::Whole) => whole.push(at),
                Some(Question::Answers(_)) => {}
                None => continue,
            }
            timing.answered(now, NOT_RUNNING, now);
        }
        let pauses: Vec<u64> = whole.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(pauses.iter().all(|pause| (5000..=6500).contains(pause)), "{whole:?}");
    }
}
