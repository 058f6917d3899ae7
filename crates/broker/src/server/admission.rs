//! How many may be connected, in all and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::config::Limits;
use crate::stats::Counters;

const SAY_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Admission {
    most: usize,
    most_per_address: usize,
    counters: Arc<Counters>,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    connections: usize,
    /// When a refusal was last said; thousands would fill the log of the one they are to spare.
    said: Option<Instant>,
    /// Only addresses that have some.
    by_address: HashMap<IpAddr, usize>,
}

/// Why a connection is closed on arrival.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Refused {
    #[error("{limit} connections are open, more are not allowed")]
    TooMany { limit: usize },
    #[error("{limit} connections are open from this address, more are not allowed")]
    TooManyFromAddress { limit: usize },
}

/// Counts a connection as open, however it ends.
#[derive(Debug)]
pub(crate) struct Admitted {
    admission: Arc<Admission>,
    address: IpAddr,
}

impl Admission {
    pub(crate) fn new(limits: &Limits, counters: Arc<Counters>) -> Admission {
        Admission {
            most: limits.connections,
            most_per_address: limits.connections_per_address,
            counters,
            open: Mutex::default(),
        }
    }

    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Admitted, Refused> {
        self.counters.connections_accepted.fetch_add(1, Relaxed);
        let mut open = self.open();
        let from_address = open.by_address.get(&address).copied().unwrap_or(0);
        let refused = if open.connections >= self.most {
            Some(Refused::TooMany { limit: self.most })
        } else if from_address >= self.most_per_address {
            Some(Refused::TooManyFromAddress {
                limit: self.most_per_address,
            })
        } else {
            None
        };
        if let Some(refused) = refused {
            let count = self.counters.connections_refused.fetch_add(1, Relaxed) + 1;
            if open.said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
                open.said = Some(Instant::now());
                tracing::warn!(peer = %address, reason = %refused, count, "connections are closed on arrival");
            }
            return Err(refused);
        }
        open.connections += 1;
        open.by_address.insert(address, from_address + 1);
        self.counters
            .connections
            .store(open.connections as u64, Relaxed);
        Ok(Admitted {
            admission: self.clone(),
            address,
        })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().expect("no holder of the counts panics")
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut open = self.admission.open();
        open.connections -= 1;
        match open.by_address.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(open.by_address.remove(&self.address)),
        }
        self.admission
            .counters
            .connections
            .store(open.connections as u64, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_all_and_by_address_and_given_back() {
        let limits = Limits {
            connections: 3,
            connections_per_address: 2,
            ..Limits::default()
        };
        let admission = Arc::new(Admission::new(&limits, Arc::default()));
        let [a, b] = ["10.0.0.1", "::1"].map(|address| address.parse().unwrap());
        let first = admission.admit(a).unwrap();
        let _second = admission.admit(a).unwrap();
        let refused = admission.admit(a).unwrap_err();
        assert_eq!(refused, Refused::TooManyFromAddress { limit: 2 });
        let _third = admission.admit(b).unwrap();
        assert_eq!(
            admission.admit(b).unwrap_err(),
            Refused::TooMany { limit: 3 }
        );
        drop(first);
        let _again = admission.admit(a).unwrap();
        assert_eq!(admission.counters.connections_refused.load(Relaxed), 2);
        assert_eq!(admission.counters.connections.load(Relaxed), 3);
    }
}
