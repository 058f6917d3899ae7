//! What works in this process, by name, in one registry that HTTP and gRPC both answer from.
//!
//! | state of a check | serves | `/readyz` |
//! |---|---|---|
//! | starting, perhaps with what it waits for | no | 503 |
//! | ready | yes | 200 |
//! | degraded, with a reason | yes, worse than it should | 200 |
//! | stopping | no | 503 |
//!
//! The process serves when every check does; a process without checks is ready.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::watch;

use crate::metric_definitions::HEALTH_CHECK;

/// The state of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum State {
    Starting {
        /// What it waits for.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    Ready,
    Degraded {
        reason: String,
    },
    Stopping,
}

impl State {
    /// Whether requests should be sent here.
    pub fn serves(&self) -> bool {
        matches!(self, Self::Ready | Self::Degraded { .. })
    }

    fn as_gauge(&self) -> f64 {
        match self {
            Self::Ready => 1.0,
            Self::Degraded { .. } => 0.5,
            Self::Starting { .. } | Self::Stopping => 0.0,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting { reason: None } => f.write_str("starting"),
            Self::Starting {
                reason: Some(reason),
            } => write!(f, "starting: {reason}"),
            Self::Ready => f.write_str("ready"),
            Self::Degraded { reason } => write!(f, "degraded: {reason}"),
            Self::Stopping => f.write_str("stopping"),
        }
    }
}

/// Every check with its state, by name.
pub type Report = BTreeMap<String, State>;

/// The registry; clones share it.
#[derive(Debug, Clone)]
pub struct Health {
    report: Arc<watch::Sender<Report>>,
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

impl Health {
    pub fn new() -> Self {
        Self {
            report: Arc::new(watch::Sender::new(Report::new())),
        }
    }

    /// Adds a check, starting. A name that is taken is taken over.
    pub fn register(&self, name: impl Into<String>) -> Check {
        let check = Check {
            name: name.into().into(),
            health: self.clone(),
        };
        check.starting();
        check
    }

    /// All checks now.
    pub fn report(&self) -> Report {
        self.report.borrow().clone()
    }

    /// Whether requests should be sent to this process.
    pub fn serves(&self) -> bool {
        self.report.borrow().values().all(State::serves)
    }

    /// Sees every change, the present report first.
    pub fn watch(&self) -> watch::Receiver<Report> {
        let mut changes = self.report.subscribe();
        changes.mark_changed();
        changes
    }

    /// Marks every check as stopping, so that balancers look elsewhere before the doors close.
    pub fn stopping(&self) {
        self.report.send_modify(|report| {
            for state in report.values_mut() {
                *state = State::Stopping;
            }
        });
    }
}

/// One named check; whoever owns the thing checked keeps it and says how it is. Dropping it leaves
/// the last state.
#[derive(Debug, Clone)]
pub struct Check {
    name: Arc<str>,
    health: Health,
}

impl Check {
    pub fn starting(&self) {
        self.set(State::Starting { reason: None });
    }

    pub fn ready(&self) {
        self.set(State::Ready);
    }

    /// Works, worse than it should; the reason is for people.
    pub fn degraded(&self, reason: impl Into<String>) {
        self.set(State::Degraded {
            reason: reason.into(),
        });
    }

    pub fn stopping(&self) {
        self.set(State::Stopping);
    }

    /// As one found it.
    pub fn is(&self, state: State) {
        self.set(state);
    }

    fn set(&self, state: State) {
        metrics::gauge!(HEALTH_CHECK, "check" => self.name.to_string()).set(state.as_gauge());
        self.health.report.send_if_modified(|report| {
            // What is stopping stays so: a loop that still reports "ready" while the process
            // drains must not call new requests in.
            if report.get(&*self.name) == Some(&State::Stopping)
                || report.get(&*self.name) == Some(&state)
            {
                return false;
            }
            report.insert(self.name.to_string(), state);
            true
        });
    }
}
