//! One command, measured: wall time by the monotonic clock, the rest by the kernel's own account (`wait4`).

use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// What a command cost, with everything that it started and waited for.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Seconds on the clock.
    pub wall: f64,
    /// Seconds of CPU in programs.
    pub user: f64,
    /// Seconds of CPU in the kernel.
    pub system: f64,
    /// Peak memory (resident set) of the largest single process, in KiB.
    pub rss: u64,
    /// How the command ended.
    pub status: ExitStatus,
}

impl Sample {
    /// Seconds of CPU.
    pub fn cpu(&self) -> f64 {
        self.user + self.system
    }
}

/// Runs a command to its end, or kills it and all that it started after `limit`.
///
/// Nothing that it prints is kept. The kernel starts a program's peak memory with that of the one that started it, so
/// this process must stay smaller than what it measures: see [`own_peak`].
pub fn measure(command: &mut Command, limit: Duration) -> io::Result<Sample> {
    command.stdin(Stdio::null()).process_group(0);
    let begun = Instant::now();
    let child = command.spawn()?;
    let pid = libc::pid_t::try_from(child.id()).map_err(io::Error::other)?;
    let (ended, watch) = mpsc::channel::<()>();
    let watchdog = std::thread::Builder::new().stack_size(64 * 1024).spawn(move || {
        if watch.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
            // SAFETY: a signal to the group that the child leads; it is not waited for before this thread has ended.
            unsafe { libc::kill(-pid, libc::SIGKILL) };
        }
    })?;
    let waited = wait4(pid);
    let wall = begun.elapsed().as_secs_f64();
    drop(ended);
    let _ = watchdog.join();
    let (status, usage) = waited?;
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
    Ok(Sample {
        wall,
        user: seconds(usage.ru_utime),
        system: seconds(usage.ru_stime),
        rss: u64::try_from(usage.ru_maxrss).unwrap_or(0),
        status: ExitStatus::from_raw(status),
    })
}

fn wait4(pid: libc::pid_t) -> io::Result<(i32, libc::rusage)> {
    let mut status = 0;
    // SAFETY: `rusage` is plain numbers, for which all zeros are valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both pointers are to live values of the right types.
        let got = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
        if got == pid {
            return Ok((status, usage));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Peak memory of this process so far, in KiB: no command can be seen to need less.
pub fn own_peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// How many processes and threads this machine has started since it booted.
pub fn forks() -> u64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    stat.lines().find_map(|l| l.strip_prefix("processes ")).and_then(|n| n.trim().parse().ok()).unwrap_or(0)
}

/// Has the kernel write back what earlier work left in its caches, so that nobody pays for another's leftovers.
pub fn settle() {
    // SAFETY: takes nothing and returns nothing.
    unsafe { libc::sync() };
}
