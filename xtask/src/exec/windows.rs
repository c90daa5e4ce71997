//! What the room needs of Windows, as far as the standard library goes.
//!
//! There are no process groups that could be signalled, so a child is killed at once when it is to end,
//! and what it started is left alone. Job objects would do better, at the price of a large dependency.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::AsHandle;
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use duct::Handle;
use signal_hook::SigId;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::Cause;

/// How soon a signal is noticed.
const SIGNAL_POLL: Duration = Duration::from_millis(50);

pub(super) fn prepare() {}

pub(super) fn set_apart(_: &mut Command, _: &str) {}

/// Files inherit who may read them from their folder.
pub(super) fn private(_: &mut OpenOptions) {}

/// The same for folders.
pub(super) fn private_folder(_: &mut DirBuilder) {}

/// A file that is deleted when the last handle to it is closed.
pub(super) fn scratch() -> io::Result<File> {
    const FILE_FLAG_DELETE_ON_CLOSE: u32 = 0x0400_0000;
    static N_FILES: AtomicU32 = AtomicU32::new(0);
    loop {
        let n = N_FILES.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("xtask-output-{}-{n}", std::process::id()));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).custom_flags(FILE_FLAG_DELETE_ON_CLOSE);
        match options.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => return result,
        }
    }
}

/// Columns and rows.
pub(super) fn terminal_size(stream: &impl AsHandle) -> Option<(u16, u16)> {
    terminal_size::terminal_size_of(stream.as_handle()).map(|(columns, rows)| (columns.0, rows.0))
}

pub(super) fn signal_of(_: ExitStatus) -> Option<i32> {
    None
}

/// A child. Its id is its own for as long as there is a handle to it.
#[derive(Clone, Debug)]
pub(super) struct Leader {
    handle: Arc<Handle>,
}

impl Leader {
    pub(super) fn of(handle: &Arc<Handle>) -> Leader {
        Leader { handle: Arc::clone(handle) }
    }

    pub(super) fn wait(&self) {
        // The result is kept, and asked for again.
        let _ = self.handle.wait();
    }

    pub(super) fn has_ended(&self) -> bool {
        self.handle.try_wait().is_ok_and(|output| output.is_some())
    }

    pub(super) fn ask(&self) {
        self.kill();
    }

    pub(super) fn kill(&self) {
        // An error means that it has ended.
        let _ = self.handle.kill();
    }
}

pub(super) fn end_rest(_: &Leader, _: &str, _: Duration, _: Duration) -> u32 {
    0
}

pub(super) fn end_survivors(_: &dyn Fn(&str) -> bool, _: Duration) -> u32 {
    0
}

/// Signals to this process, handed to a function on a thread. A handler may do next to nothing, and
/// there is no pipe as on Unix that it could wake the thread with: it counts, the thread looks.
#[derive(Debug)]
pub(super) struct Signals {
    handlers: Vec<SigId>,
    closed: Arc<AtomicBool>,
}

impl Signals {
    pub(super) fn listen(mut on_signal: impl FnMut(i32) + Send + 'static) -> io::Result<Signals> {
        let closed = Arc::new(AtomicBool::new(false));
        let mut signals = Signals { handlers: Vec::new(), closed: Arc::clone(&closed) };
        let mut counts = Vec::new();
        for signal in [SIGINT, SIGTERM] {
            let count = Arc::new(AtomicUsize::new(0));
            counts.push((signal, Arc::clone(&count)));
            let handler = move || {
                count.fetch_add(1, Ordering::SeqCst);
            };
            // SAFETY: the handler does nothing but one atomic addition.
            signals.handlers.push(unsafe { signal_hook::low_level::register(signal, handler) }?);
        }
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            while !closed.load(Ordering::SeqCst) {
                for (signal, count) in &counts {
                    for _ in 0..count.swap(0, Ordering::SeqCst) {
                        on_signal(*signal);
                    }
                }
                thread::sleep(SIGNAL_POLL);
            }
        })?;
        Ok(signals)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        for handler in self.handlers.drain(..) {
            signal_hook::low_level::unregister(handler);
        }
    }
}

pub(super) fn cause(signal: i32) -> Cause {
    if signal == SIGINT { Cause::Interrupt } else { Cause::Terminate }
}

pub(super) fn die_of(signal: i32) -> ! {
    signal_hook::low_level::exit(128 + signal)
}

pub(super) fn host() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_default()
}

/// The standard library does not tell.
pub(super) fn boot() -> String {
    String::new()
}

/// The standard library does not tell.
pub(super) fn started(_: u32) -> Option<String> {
    None
}

/// Whether that process still runs cannot be told, unless it is this one.
pub(super) fn is_alive(pid: u32, _: &str) -> Option<bool> {
    (pid == std::process::id()).then_some(true)
}
