//! Signals to this process, and what they mean for the children.

use std::io;
use std::sync::Arc;

use super::Room;
use super::platform;

/// Why a room was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// SIGINT, as from Ctrl-C.
    Interrupt,
    /// SIGTERM, or SIGHUP because the terminal is gone.
    Terminate,
    /// The caller cannot go on.
    Caller,
}

impl Cause {
    /// The exit code that tells a shell about the signal; none if it was not one.
    pub fn exit_code(self) -> Option<u8> {
        match self {
            Cause::Interrupt => Some(130),
            Cause::Terminate => Some(143),
            Cause::Caller => None,
        }
    }
}

/// A signal that has been passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signalled {
    /// The first: children are asked to end, shielded ones go on.
    First(Cause),
    /// The second: everything is killed.
    Second(Cause),
}

/// How far the ending of a room has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Running,
    /// Unshielded children are ending. `signalled` tells whether a signal has come yet, which is not
    /// so if the caller was first: only the next one is the second then.
    Ending {
        cause: Cause,
        signalled: bool,
    },
    Killing {
        cause: Cause,
    },
}

/// What a step of [`Stage::after`] orders for the children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Nothing,
    /// Ask every unshielded child to end.
    Ask,
    /// Kill every child.
    Kill,
}

impl Stage {
    /// The stage after one more cause, and what it orders.
    ///
    /// The first cause is the one that is told later. The caller's own never escalates: several
    /// workers may find at the same time that they cannot go on.
    pub(super) fn after(self, next: Cause) -> (Stage, Order) {
        let is_signal = next != Cause::Caller;
        match self {
            Stage::Running => (Stage::Ending { cause: next, signalled: is_signal }, Order::Ask),
            Stage::Ending { cause, signalled: false } => {
                (Stage::Ending { cause, signalled: is_signal }, Order::Nothing)
            }
            Stage::Ending { cause, signalled: true } if is_signal => (Stage::Killing { cause }, Order::Kill),
            Stage::Ending { .. } => (self, Order::Nothing),
            Stage::Killing { .. } => (self, Order::Kill),
        }
    }

    /// Why the room was cancelled, if it was.
    pub(super) fn cause(self) -> Option<Cause> {
        match self {
            Stage::Running => None,
            Stage::Ending { cause, .. } | Stage::Killing { cause } => Some(cause),
        }
    }

    /// Whether a child may start now.
    pub(super) fn admits(self, shielded: bool) -> bool {
        match self {
            Stage::Running => true,
            Stage::Ending { .. } => shielded,
            Stage::Killing { .. } => false,
        }
    }
}

/// Passes signals on to the children of a room for as long as it lives.
#[derive(Debug)]
pub struct Listener {
    /// Ends the thread when dropped.
    _signals: platform::Signals,
}

impl Listener {
    /// Handles signals on a thread of its own, which may lock and wait, as a signal handler may not.
    ///
    /// A third signal ends this process as if nobody listened: the way out if killing does not help,
    /// as with a child that hangs in the kernel.
    pub(super) fn new(
        room: Arc<Room>,
        on_signal: impl Fn(Signalled) + Send + 'static,
    ) -> io::Result<Listener> {
        let mut n_signals = 0;
        let signals = platform::Signals::listen(move |signal| {
            n_signals += 1;
            if n_signals > 2 {
                platform::die_of(signal);
            }
            let cause = platform::cause(signal);
            room.cancel(cause);
            on_signal(if n_signals == 1 { Signalled::First(cause) } else { Signalled::Second(cause) });
        })?;
        Ok(Listener { _signals: signals })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fold(causes: &[Cause]) -> (Stage, Vec<Order>) {
        let mut stage = Stage::Running;
        let orders = causes
            .iter()
            .map(|cause| {
                let (next, order) = stage.after(*cause);
                stage = next;
                order
            })
            .collect();
        (stage, orders)
    }

    #[test]
    fn the_second_signal_kills() {
        for first in [Cause::Interrupt, Cause::Terminate] {
            for second in [Cause::Interrupt, Cause::Terminate] {
                let (stage, orders) = fold(&[first, second, second]);
                assert_eq!(orders, [Order::Ask, Order::Kill, Order::Kill]);
                assert_eq!(stage.cause(), Some(first));
            }
        }
    }

    #[test]
    fn the_caller_never_kills() {
        let (stage, orders) = fold(&[Cause::Caller, Cause::Caller, Cause::Caller]);
        assert_eq!(orders, [Order::Ask, Order::Nothing, Order::Nothing]);
        assert!(stage.admits(true));
        let (_, orders) = fold(&[Cause::Interrupt, Cause::Caller]);
        assert_eq!(orders, [Order::Ask, Order::Nothing]);
    }

    #[test]
    fn a_signal_after_the_caller_is_the_first() {
        let (stage, orders) = fold(&[Cause::Caller, Cause::Interrupt]);
        assert_eq!(orders, [Order::Ask, Order::Nothing]);
        assert_eq!(stage.cause(), Some(Cause::Caller));
        let (_, orders) = fold(&[Cause::Caller, Cause::Interrupt, Cause::Interrupt]);
        assert_eq!(orders, [Order::Ask, Order::Nothing, Order::Kill]);
    }

    #[test]
    fn what_may_start() {
        let admitted = |causes: &[Cause]| {
            let (stage, _) = fold(causes);
            (stage.admits(false), stage.admits(true))
        };
        assert_eq!(admitted(&[]), (true, true));
        assert_eq!(admitted(&[Cause::Interrupt]), (false, true));
        assert_eq!(admitted(&[Cause::Interrupt, Cause::Interrupt]), (false, false));
    }

    #[test]
    fn exit_codes() {
        assert_eq!(Cause::Interrupt.exit_code(), Some(130));
        assert_eq!(Cause::Terminate.exit_code(), Some(143));
        assert_eq!(Cause::Caller.exit_code(), None);
    }
}
