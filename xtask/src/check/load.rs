//! `load = "http://127.0.0.1:${port}/"`: many users at once, for a while, without an error.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::ask::{ask, expect_status};
use super::http::{PATIENCE, fits, mistakes_in_status, mistakes_in_url, wanted};
use super::{Check, Context, Finding, Keys, Refuse};
use crate::pipeline::diagnostic::Diagnostic;
use crate::pipeline::line::Line;
use crate::pipeline::read::{Map, OneOrMany, Period, record};
use crate::pipeline::template::Template;
use crate::wording;
use crate::world::{Request, World};

record! {
    /// Many users ask a server over HTTP at once, for a while, and every answer is right. What it found has the number
    /// of requests and the times that half, 95 and 99 of 100 of them kept.
    pub struct LoadCheck {
        /// The address, with `http://`.
        load: Template,
        /// How many users ask at the same time.
        users: u64,
        /// For how long.
        during: Period,
        /// How long a user waits between an answer and the next request; 250 ms if left out. Each request is a
        /// connection of its own, and a system has some 28 000 ports for them in a minute.
        pause: Option<Period>,
        /// The status that an answer must have, or several of which it must have one; 200 if left out.
        status: OneOrMany<u64>,
        /// Headers to send.
        headers: Map<Template>,
        /// How long an answer may take; 5 s if left out.
        timeout: Option<Period>,
        /// How many requests may fail; none if left out.
        failures: Option<u64>,
        /// The time within which 95 of 100 answers must come.
        p95: Option<Period>,
        /// A command that runs meanwhile, such as a restart, once the load is there. It must succeed.
        meanwhile: Option<Line>,
    }
}

/// Users are threads.
const MOST_USERS: u64 = 1000;

const PAUSE: Duration = Duration::from_millis(250);

/// What all users saw together.
#[derive(Debug, Default)]
struct Tally {
    /// How long each right answer took.
    times: Vec<Duration>,
    failures: u64,
    /// When the first failure was, and why.
    first: Option<(Duration, String)>,
}

impl Tally {
    fn requests(&self) -> u64 {
        self.times.len() as u64 + self.failures
    }

    /// The time that `percent` of the right answers kept (nearest rank).
    fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.times.len() * percent).div_ceil(100).max(1);
        self.times.get(rank - 1).copied().unwrap_or_default()
    }

    fn figures(&self) -> String {
        let requests = wording::plural(usize::try_from(self.requests()).unwrap_or(usize::MAX), "request");
        let failures = wording::plural(usize::try_from(self.failures).unwrap_or(usize::MAX), "failure");
        let time = |percent| format!("p{percent} {}", wording::duration(self.percentile(percent)));
        format!("{requests}, {failures}, {}, {}, {}", time(50), time(95), time(99))
    }
}

impl LoadCheck {
    fn request(&self, cx: &Context<'_>) -> Result<Request, String> {
        let headers =
            self.headers.iter().map(|(name, value)| Ok((name.value.clone(), value.fill(cx.scope)?)));
        Ok(Request {
            method: "GET".to_owned(),
            url: self.load.fill(cx.scope)?,
            headers: headers.collect::<Result<_, String>>()?,
            body: None,
            limit: self.timeout.map_or(PATIENCE, |period| period.0).min(cx.limit),
        })
    }

    fn look(&self, cx: &Context<'_>) -> Result<String, Finding> {
        let request = self.request(cx).map_err(Finding::unknown)?;
        let mut tally = self.run(&request, cx)?;
        tally.times.sort_unstable();
        let url = &request.url;
        if tally.requests() == 0 {
            return Err(Finding::unknown(format!("no request to {url} came to an end")));
        }
        if let (true, Some((when, why))) = (tally.failures > self.failures.unwrap_or(0), &tally.first) {
            let first = format!("{}, the first after {}: {why}", tally.figures(), wording::duration(*when));
            return Err(Finding::unmet(self.allowed(), first, url));
        }
        if let Some(Period(limit)) = self.p95
            && tally.percentile(95) > limit
        {
            return Err(Finding::unmet(
                format!("95 of 100 answers within {}", wording::duration(limit)),
                tally.figures(),
                url,
            ));
        }
        Ok(tally.figures())
    }

    /// What is expected, in words.
    fn allowed(&self) -> String {
        let failures = match self.failures.unwrap_or(0) {
            0 => "no failure".to_owned(),
            n => format!("at most {}", wording::plural(usize::try_from(n).unwrap_or(usize::MAX), "failure")),
        };
        let users = wording::plural(usize::try_from(self.users).unwrap_or(usize::MAX), "user");
        format!("{failures} with {users} for {}", wording::duration(self.during.0))
    }

    fn run(&self, request: &Request, cx: &Context<'_>) -> Result<Tally, Finding> {
        let (stop, tally, started) = (AtomicBool::new(false), Mutex::new(Tally::default()), Instant::now());
        let pause = self.pause.map_or(PAUSE, |period| period.0);
        let world = cx.world;
        let user = |number: u64| {
            // Users come one after the other within the first pause, not all in the same instant.
            let offset = pause.mul_f64(number as f64 / self.users as f64);
            let mut goes_on = world.pause(offset);
            // Each asks at least once, also where the machine is so busy that the time is over before it can.
            while goes_on {
                self.ask_once(request, started, &tally, world);
                goes_on = world.pause(pause) && !stop.load(Ordering::Relaxed);
            }
        };
        let ended = std::thread::scope(|scope| {
            let user = &user;
            for number in 0..self.users {
                scope.spawn(move || user(number));
            }
            let ended = self.supervise(started, cx);
            stop.store(true, Ordering::Relaxed);
            ended
        });
        ended?;
        Ok(tally.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Lets the time pass, and runs the command that belongs in between.
    fn supervise(&self, started: Instant, cx: &Context<'_>) -> Result<(), Finding> {
        let wait_until = |at: Duration| {
            while started.elapsed() < at {
                if !cx.world.pause((at - started.elapsed().min(at)).min(Duration::from_millis(50))) {
                    return Err(Finding::unknown("the run was cancelled"));
                }
            }
            Ok(())
        };
        if let Some(line) = &self.meanwhile {
            wait_until((self.during.0 / 4).min(Duration::from_secs(2)))?;
            expect_status(&ask(line, None, cx)?, &[0], line)?;
        }
        wait_until(self.during.0)
    }

    fn ask_once(&self, request: &Request, started: Instant, tally: &Mutex<Tally>, world: &dyn World) {
        let asked = Instant::now();
        let answer = world.http(request);
        let took = asked.elapsed();
        let why = match answer {
            Ok(response) if fits(&response, &self.status.0) => None,
            Ok(response) => Some(format!("status {}", response.status)),
            Err(why) => Some(why),
        };
        let mut tally = tally.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match why {
            None => tally.times.push(took),
            Some(why) => {
                tally.failures += 1;
                tally.first.get_or_insert_with(|| (asked.duration_since(started), why));
            }
        }
    }
}

impl Refuse for LoadCheck {
    fn refuse(&self, keys: &Keys<'_>) -> Vec<Diagnostic> {
        let mut out = mistakes_in_url(&self.load, "load", keys);
        out.extend(mistakes_in_status(&self.status.0, keys));
        if !(1..=MOST_USERS).contains(&self.users) {
            out.push(keys.mistake("users", format!("there can be 1 to {MOST_USERS} users")));
        }
        if self.during.0.is_zero() {
            out.push(keys.mistake("during", "a load that lasts no time shows nothing"));
        }
        out
    }
}

impl Check for LoadCheck {
    fn describe(&self) -> String {
        let meanwhile = self.meanwhile.as_ref().map_or_else(String::new, |line| {
            format!(" while `{}` runs", wording::first_line(&line.to_string(), 80))
        });
        format!("{} answers {}: {}{meanwhile}", self.load, wanted(&self.status.0), self.allowed())
    }

    fn is_repeatable(&self) -> bool {
        // A load is put on what serves others.
        false
    }

    fn observe(&self, cx: &Context<'_>) -> Finding {
        self.look(cx).map_or_else(|finding| finding, Finding::met_with)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::world::fake::Fake;

    fn load(more: &str) -> String {
        format!(r#"{{ load = "http://h/", users = 4, during = "30ms"{more} }}"#)
    }

    #[test]
    fn figures_say_what_happened() {
        let tally = Tally { times: (1..=200).map(Duration::from_millis).collect(), failures: 1, first: None };
        assert_eq!(tally.figures(), "201 requests, 1 failure, p50 100 ms, p95 190 ms, p99 198 ms");
        let tally = Tally { times: vec![Duration::from_millis(7)], ..Tally::default() };
        assert_eq!(tally.figures(), "1 request, 0 failures, p50 7 ms, p95 7 ms, p99 7 ms");
    }

    #[test]
    fn right_answers_hold() {
        let world = Fake::new().responds("GET http://h/", 200, "");
        let text = found(&world, &load(""));
        assert!(text.starts_with("holds: ") && text.contains(" 0 failures, p50 "), "{text}");
        assert!(world.requested().len() >= 4);
    }

    #[test]
    fn failures_are_counted_and_the_first_is_named() {
        let world = Fake::new()
            .responds("GET http://h/", 200, "")
            .responds("GET http://h/", 503, "")
            .responds("GET http://h/", 200, "");
        let text = found(&world, &load(""));
        assert!(text.starts_with("expected no failure with 4 users for 30 ms, found "), "{text}");
        assert!(text.contains(" 1 failure, ") && text.ends_with(": status 503 (http://h/)"), "{text}");
        let world = Fake::new()
            .responds("GET http://h/", 200, "")
            .responds("GET http://h/", 503, "")
            .responds("GET http://h/", 200, "");
        assert!(found(&world, &load(", failures = 1")).starts_with("holds"));
        let text = found(&Fake::new(), &load(""));
        assert!(text.ends_with(": the connection was refused (http://h/)"), "{text}");
    }

    #[test]
    fn a_command_runs_meanwhile() {
        let world = Fake::new().responds("GET http://h/", 200, "").says("kubectl restart", 0, "").says(
            "kubectl fail",
            1,
            "no",
        );
        assert!(found(&world, &load(r#", meanwhile = "kubectl restart""#)).starts_with("holds"));
        assert_eq!(world.asked(), ["kubectl restart"]);
        assert_eq!(
            found(&world, &load(r#", meanwhile = "kubectl fail""#)),
            "expected exit code 0, found exit code 1: `no` (`kubectl fail`)"
        );
    }

    #[test]
    fn a_cancelled_run_ends_it() {
        let world = Fake::new().responds("GET http://h/", 200, "").cancelled_after(Duration::from_millis(1));
        assert_eq!(
            found(&world, r#"{ load = "http://h/", users = 2, during = "1h" }"#),
            "could not tell: the run was cancelled"
        );
    }

    #[test]
    fn what_is_refused() {
        assert_refused(&[
            (
                r#"{ load = "https://h/", users = 1, during = "1s" }"#,
                "no TLS here: only `http://` can be asked",
            ),
            (r#"{ load = "http://h/", users = 0, during = "1s" }"#, "there can be 1 to 1000 users"),
            (
                r#"{ load = "http://h/", users = 1, during = "0s" }"#,
                "a load that lasts no time shows nothing",
            ),
            (r#"{ load = "http://h/", users = 1 }"#, "the key `during` is missing"),
        ]);
        let spec = check(r#"{ load = "http://h/", users = 100, during = "30s", meanwhile = "x y" }"#);
        assert_eq!(spec.says(), "http://h/ answers 200: no failure with 100 users for 30 s while `x y` runs");
    }
}
