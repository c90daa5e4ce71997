//! What the room needs of Unix, and of `/proc` on Linux.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use duct::Handle;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::Cause;

#[cfg(not(target_os = "linux"))]
use fallback as proc;
#[cfg(target_os = "linux")]
use linux as proc;

/// A killed process is gone at once, unless it hangs in the kernel: then it is given up after this.
const KILLED_WITHIN: Duration = Duration::from_secs(2);

/// Two of the same signal within so short a time are one. GNU `timeout` signals its child and then
/// the group of its child; nobody presses a key twice so fast.
const ECHO: Duration = Duration::from_millis(10);

/// Makes this process fit to supervise others.
pub(super) fn prepare() {
    // SAFETY: with these arguments sigaction only writes the old action to memory that we own, and
    // resetting SIGCHLD to its default installs no code. Whoever ignores SIGCHLD loses the status of
    // its children, and that is inherited.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(libc::SIGCHLD, std::ptr::null(), &raw mut action) == 0
            && action.sa_sigaction == libc::SIG_IGN
        {
            libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        }
    }
    proc::adopt_orphans();
}

/// Makes a child the leader of a group of its own, under the name by which it was called.
///
/// The name is what a shell would hand over; the full path, which is what is started, would show up in
/// messages that then differ between machines.
pub(super) fn set_apart(command: &mut Command, name: &str) {
    command.process_group(0).arg0(name);
}

/// For a file that only its owner may read.
pub(super) fn private(options: &mut OpenOptions) {
    options.mode(0o600);
}

/// Makes the folder that it makes accessible to its owner only.
pub(super) fn private_folder(builder: &mut DirBuilder) {
    builder.mode(0o700);
}

/// A file without a name: it is gone with the last who has it open.
pub(super) fn scratch() -> io::Result<File> {
    scratch_in(&std::env::temp_dir())
}

fn scratch_in(folder: &Path) -> io::Result<File> {
    static N_FILES: AtomicU32 = AtomicU32::new(0);
    // Not every file system can make a file without a name. Who is killed between making and removing a name
    // leaves the file there.
    if let Ok(file) = proc::nameless(folder) {
        return Ok(file);
    }
    loop {
        let n = N_FILES.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("xtask-output-{}-{n}", std::process::id()));
        match OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => {
                std::fs::remove_file(&path)?;
                return Ok(file);
            }
            // Left by a process of the same number that died between the two steps.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

/// Columns and rows.
pub(super) fn terminal_size(stream: &impl AsFd) -> Option<(u16, u16)> {
    // SAFETY: all zeros is a valid winsize, and the call writes to nothing else. The descriptor is open.
    unsafe {
        let mut size: libc::winsize = std::mem::zeroed();
        let answer = libc::ioctl(stream.as_fd().as_raw_fd(), libc::TIOCGWINSZ, &raw mut size);
        (answer == 0).then_some((size.ws_col, size.ws_row))
    }
}

pub(super) fn signal_of(status: ExitStatus) -> Option<i32> {
    status.signal()
}

/// A child that leads a group. Its id is its own until it is reaped.
#[derive(Clone, Debug)]
pub(super) struct Leader {
    pid: libc::pid_t,
}

impl Leader {
    pub(super) fn of(handle: &Handle) -> Leader {
        Leader { pid: handle.pids()[0].cast_signed() }
    }

    /// Sleeps until it has ended, without reaping it. Duct's wait does both at once, and its id could
    /// be in use again before whoever signals knows.
    pub(super) fn wait(&self) {
        while !self.poll(0) && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted {}
    }

    /// Whether it has ended and is not reaped yet.
    pub(super) fn has_ended(&self) -> bool {
        self.poll(libc::WNOHANG)
    }

    fn poll(&self, options: libc::c_int) -> bool {
        // SAFETY: all zeros is a valid siginfo_t, and waitid writes to nothing else.
        unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            let options = libc::WEXITED | libc::WNOWAIT | options;
            libc::waitid(libc::P_PID, self.pid.cast_unsigned(), &raw mut info, options) == 0
                && info.si_signo == libc::SIGCHLD
        }
    }

    /// Asks the group to end.
    pub(super) fn ask(&self) {
        ask(-self.pid);
    }

    /// Kills the group, and the leader should it have moved to another one.
    pub(super) fn kill(&self) {
        kill(-self.pid);
        kill(self.pid);
    }
}

/// Asks a process, or with a negative id a group, to end. What is stopped has to go on for that, as a
/// child that wanted to read from the terminal.
fn ask(pid: libc::pid_t) {
    signal(pid, libc::SIGTERM);
    signal(pid, libc::SIGCONT);
}

fn kill(pid: libc::pid_t) {
    signal(pid, libc::SIGKILL);
}

/// Whether there was somebody to signal.
fn signal(pid: libc::pid_t, signal: libc::c_int) -> bool {
    // SAFETY: kill takes two numbers and touches no memory.
    unsafe { libc::kill(pid, signal) == 0 }
}

/// Reaps a process, or with a negative id the next one of a group, if it is ours and has ended.
fn reap(pid: libc::pid_t) -> bool {
    // SAFETY: waitpid may be told not to write the status.
    unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::WNOHANG) > 0 }
}

/// Ends what a child has left behind, after it was reaped. Returns the number of processes that did
/// not end by themselves within `settle`.
pub(super) fn end_rest(leader: &Leader, attempt: &str, settle: Duration, grace: Duration) -> u32 {
    let is_meant = |id: &str| id == attempt;
    let mut rest = Rest::new(Some(leader.pid), &is_meant);
    rest.reap();
    if !rest.may_exist() {
        return 0;
    }
    rest.watch(settle, None);
    rest.end(grace)
}

pub(super) fn end_survivors(attempts: &dyn Fn(&str) -> bool, grace: Duration) -> u32 {
    // Never the attempt that this process itself belongs to.
    let own = std::env::var(super::ATTEMPT).ok();
    let is_meant = |id: &str| own.as_deref() != Some(id) && attempts(id);
    Rest::new(None, &is_meant).end(grace)
}

/// Processes that belong together: the members of a group, and those with a mark.
struct Rest<'a> {
    group: Option<libc::pid_t>,
    is_meant: &'a dyn Fn(&str) -> bool,
    /// All that have been seen, each with its start: to reap them, and to know them again. One that is about to end
    /// shows no mark any more and is still there.
    seen: BTreeMap<libc::pid_t, String>,
    /// Those that did not end by themselves.
    ended: BTreeSet<libc::pid_t>,
}

impl<'a> Rest<'a> {
    fn new(group: Option<libc::pid_t>, is_meant: &'a dyn Fn(&str) -> bool) -> Self {
        Self { group, is_meant, seen: BTreeMap::new(), ended: BTreeSet::new() }
    }

    /// Whether it is worth looking for them. This is all that a child costs that leaves nothing behind.
    fn may_exist(&self) -> bool {
        self.group.is_some_and(|group| signal(-group, 0)) || proc::has_adopted(self.is_meant)
    }

    /// Ends them; returns how many there were.
    fn end(&mut self, grace: Duration) -> u32 {
        if !self.watch(grace, Some(ask)) {
            self.watch(KILLED_WITHIN, Some(kill));
        }
        u32::try_from(self.ended.len()).unwrap_or(u32::MAX)
    }

    /// Waits until they are gone, and says whether they are. Each that is met for the first time is
    /// given to `action`: a process that is being ended may start another one.
    ///
    /// This polls, more and more slowly. They are not our children as a rule, so there is nothing to
    /// wait for, and this is not the way that children end.
    fn watch(&mut self, patience: Duration, action: Option<fn(libc::pid_t)>) -> bool {
        let until = Instant::now().checked_add(patience);
        let mut pause = Duration::from_millis(1);
        let mut met = BTreeSet::new();
        loop {
            let left = proc::find(self.group, self.is_meant, &self.seen);
            if let Some(action) = action {
                self.ended.extend(left.keys());
                left.keys().filter(|pid| met.insert(**pid)).for_each(|pid| action(*pid));
            }
            let is_over = left.is_empty();
            self.seen.extend(left);
            self.reap();
            if is_over || until.is_some_and(|until| Instant::now() >= until) {
                return is_over;
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(16));
        }
    }

    /// Reaps those that were handed to us and have ended; nobody else will.
    fn reap(&self) {
        if let Some(group) = self.group {
            while reap(-group) {}
        }
        for pid in self.seen.keys() {
            reap(*pid);
        }
    }
}

/// Signals to this process, handed to a function on a thread.
#[derive(Debug)]
pub(super) struct Signals {
    handle: signal_hook::iterator::Handle,
}

impl Signals {
    pub(super) fn listen(mut on_signal: impl FnMut(i32) + Send + 'static) -> io::Result<Signals> {
        let mut numbers = vec![SIGINT, SIGTERM];
        // Who starts a program under nohup wants it to outlive the terminal. A shell without job
        // control makes its background jobs ignore SIGINT as well; that is not what anybody asked
        // for, and an explicit `kill -INT` would be lost.
        if !is_ignored(SIGHUP) {
            numbers.push(SIGHUP);
        }
        let mut signals = signal_hook::iterator::Signals::new(numbers)?;
        let handle = signals.handle();
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            let mut last: Option<(i32, Instant)> = None;
            for signal in signals.forever() {
                let now = Instant::now();
                // Not for SIGINT: that one comes from a keyboard, or from a script that means it.
                let is_echo = last.is_some_and(|(before, at)| before == signal && now - at < ECHO);
                if !is_echo || signal == SIGINT {
                    last = Some((signal, now));
                    on_signal(signal);
                }
            }
        })?;
        Ok(Signals { handle })
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // The thread ends by itself. It is not joined: it may be busy with whoever drops this.
        self.handle.close();
    }
}

fn is_ignored(signal: libc::c_int) -> bool {
    // SAFETY: without a new action sigaction only writes the old one to memory that we own.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &raw mut action) == 0
            && action.sa_sigaction == libc::SIG_IGN
    }
}

pub(super) fn cause(signal: i32) -> Cause {
    if signal == SIGINT { Cause::Interrupt } else { Cause::Terminate }
}

/// Ends this process as the signal would have done.
pub(super) fn die_of(signal: i32) -> ! {
    // It does not return for the signals that are listened for.
    let _ = signal_hook::low_level::emulate_default_handler(signal);
    signal_hook::low_level::exit(128 + signal)
}

/// The name of this host.
pub(super) fn host() -> String {
    let mut name = [0_u8; 256];
    // SAFETY: the memory is ours, and the last byte is kept for the end of the text.
    unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len() - 1) };
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    String::from_utf8_lossy(&name[..end]).into_owned()
}

/// What changes with every start of this host.
pub(super) fn boot() -> String {
    proc::boot()
}

/// When a process started; none if there is none.
pub(super) fn started(pid: u32) -> Option<String> {
    proc::started(pid)
}

/// Whether the process that started then still runs.
pub(super) fn is_alive(pid: u32, then: &str) -> Option<bool> {
    match started(pid) {
        Some(now) => Some(now == then),
        // It may belong to somebody else, or the system does not tell.
        None => {
            let exists = signal(pid.cast_signed(), 0)
                || io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH);
            if exists && !cfg!(target_os = "linux") { None } else { Some(false) }
        }
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::BTreeMap;
    use std::fs::{self, File, OpenOptions};
    use std::io;
    use std::os::unix::fs::OpenOptionsExt;
    use std::path::Path;

    use super::super::ATTEMPT;

    /// A file that never has a name.
    pub(super) fn nameless(folder: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).custom_flags(libc::O_TMPFILE).mode(0o600).open(folder)
    }

    /// What `/proc/PID/stat` says about a process.
    struct Stat {
        is_dead: bool,
        group: libc::pid_t,
        started: String,
    }

    /// Orphaned descendants become our children, so that they can be found and reaped.
    pub(super) fn adopt_orphans() {
        // SAFETY: this option takes one number. If the kernel does not know it, nothing is adopted.
        unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
    }

    /// Whether a process with such a mark was handed to us. Orphans are handed to the first thread of
    /// their new parent, so its list is all there is to read; children that other threads start are
    /// not on it.
    pub(super) fn has_adopted(is_meant: &dyn Fn(&str) -> bool) -> bool {
        let pid = std::process::id();
        match fs::read_to_string(format!("/proc/self/task/{pid}/children")) {
            Ok(children) => children.split_ascii_whitespace().any(|pid| has_mark(pid, is_meant)),
            // A kernel that was built without the list.
            Err(_) => !find(None, is_meant, &BTreeMap::new()).is_empty(),
        }
    }

    /// The processes of the group, or with such a mark, or seen before, that have not ended, each with its start;
    /// never this one.
    pub(super) fn find(
        group: Option<libc::pid_t>,
        is_meant: &dyn Fn(&str) -> bool,
        seen: &BTreeMap<libc::pid_t, String>,
    ) -> BTreeMap<libc::pid_t, String> {
        let own = std::process::id().cast_signed();
        let names = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.file_name());
        names
            .filter_map(|name| {
                let pid = name.to_str()?;
                let number = pid.parse().ok().filter(|number| *number != own)?;
                let stat = stat(pid)?;
                let is_member = group == Some(stat.group)
                    || seen.get(&number) == Some(&stat.started)
                    || has_mark(pid, is_meant);
                (is_member && !stat.is_dead).then_some((number, stat.started))
            })
            .collect()
    }

    /// Whether the environment with which a process was started names such an attempt. That of others'
    /// processes cannot be read, and that of dead ones is empty.
    fn has_mark(pid: &str, is_meant: &dyn Fn(&str) -> bool) -> bool {
        let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else { return false };
        environment.split(|byte| *byte == 0).any(|entry| {
            let value = entry.strip_prefix(ATTEMPT.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
            value.and_then(|value| std::str::from_utf8(value).ok()).is_some_and(is_meant)
        })
    }

    fn stat(pid: &str) -> Option<Stat> {
        let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is the name in parentheses, and may hold anything, also parentheses.
        let mut fields = line.rsplit_once(')')?.1.split_ascii_whitespace();
        let is_dead = matches!(fields.next()?, "Z" | "X" | "x");
        let group = fields.nth(1)?.parse().ok()?;
        let started = fields.nth(16)?.to_owned();
        Some(Stat { is_dead, group, started })
    }

    pub(super) fn boot() -> String {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let space = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        format!("{}/{}", id.trim(), space.display())
    }

    /// In ticks since the start of the host.
    pub(super) fn started(pid: u32) -> Option<String> {
        stat(&pid.to_string()).filter(|stat| !stat.is_dead).map(|stat| stat.started)
    }
}

/// Unix without `/proc`: groups are all that is known.
#[cfg(not(target_os = "linux"))]
mod fallback {
    use std::collections::BTreeMap;
    use std::fs::File;
    use std::io;
    use std::path::Path;

    pub(super) fn nameless(_: &Path) -> io::Result<File> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn adopt_orphans() {}

    pub(super) fn has_adopted(_: &dyn Fn(&str) -> bool) -> bool {
        false
    }

    /// The group as a whole, by its negative id.
    pub(super) fn find(
        group: Option<libc::pid_t>,
        _: &dyn Fn(&str) -> bool,
        _: &BTreeMap<libc::pid_t, String>,
    ) -> BTreeMap<libc::pid_t, String> {
        let group = group.map(|group| -group).filter(|group| super::signal(*group, 0));
        group.into_iter().map(|group| (group, String::new())).collect()
    }

    #[cfg(target_os = "macos")]
    pub(super) fn boot() -> String {
        let mut id = [0_u8; 64];
        let mut len = id.len();
        // SAFETY: the name ends with a zero byte, and the system writes at most `len` bytes.
        let result = unsafe {
            libc::sysctlbyname(
                c"kern.bootsessionuuid".as_ptr(),
                id.as_mut_ptr().cast(),
                &raw mut len,
                std::ptr::null_mut(),
                0,
            )
        };
        let text = if result == 0 { &id[..len.min(id.len())] } else { &[] };
        String::from_utf8_lossy(text).trim_end_matches('\0').to_owned()
    }

    /// In microseconds since 1970.
    #[cfg(target_os = "macos")]
    pub(super) fn started(pid: u32) -> Option<String> {
        // SAFETY: all zeros is a valid value of this plain structure, and the system writes at most as
        // many bytes as it has.
        let (info, size, written) = unsafe {
            let mut info: libc::proc_bsdinfo = std::mem::zeroed();
            let size = i32::try_from(size_of::<libc::proc_bsdinfo>()).ok()?;
            let pid = pid.cast_signed();
            let written = libc::proc_pidinfo(pid, libc::PROC_PIDTBSDINFO, 0, (&raw mut info).cast(), size);
            (info, size, written)
        };
        (written == size).then(|| format!("{}.{:06}", info.pbi_start_tvsec, info.pbi_start_tvusec))
    }

    #[cfg(not(target_os = "macos"))]
    pub(super) fn boot() -> String {
        String::new()
    }

    #[cfg(not(target_os = "macos"))]
    pub(super) fn started(_: u32) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, Write};
    use std::os::unix::fs::MetadataExt;
    use std::time::SystemTime;

    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_scratch_file_never_has_a_name() {
        let folder = tempfile::tempdir().unwrap();
        if proc::nameless(folder.path()).is_err() {
            // A file system that can't do it: then there is no way without a name for a moment.
            return;
        }
        File::open(folder.path()).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let mut file = scratch_in(folder.path()).unwrap();
        file.write_all(b"text").unwrap();
        file.rewind().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), file.metadata().unwrap().mode() & 0o777), ("text", 0o600));
        // A name that was there for a moment would have changed the folder.
        assert_eq!(folder.path().metadata().unwrap().modified().unwrap(), SystemTime::UNIX_EPOCH);
    }
}
