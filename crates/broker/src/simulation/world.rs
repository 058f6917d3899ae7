//! One run: a disk, the broker on it, its clients, and the life of its process.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::clients::{Member, Producer};
use super::model::{Checked, Model, TopicModel, Violation, must};
use super::net::{Ask, Net};
use super::plan::Plan;
use crate::broker::{self, Stores};
use crate::clock::simulated::{self, Simulated};
use crate::file::sim::{Faults, SimDisk};
use crate::server::Server;
use crate::{BrokerConfig, Error};

/// What the clock shows when a run begins, milliseconds.
const BEGIN: i64 = 1_000_000_000_000;
const NAMES: [&str; 2] = ["orders", "clicks"];
/// The first groups have members, the others are used by consumers that assign by themselves.
pub(super) const GROUPS: usize = 2;
pub(super) const LONERS: usize = 1;
const MEMBERS: usize = 3;
/// Starts that may fail, one after the other.
const FAILED_STARTS: usize = 4;

pub(super) struct World {
    pub(super) rng: StdRng,
    pub(super) plan: Plan,
    pub(super) disk: SimDisk,
    server: Option<Arc<Server>>,
    pub(super) net: Net,
    pub(super) model: Model,
    pub(super) producers: Vec<Producer>,
    pub(super) members: Vec<Vec<Member>>,
    /// The broker refused to start, with a reason, and somebody has to look at it.
    pub(super) is_over: bool,
    /// What happened, for people.
    pub(super) trace: Option<Vec<String>>,
    _clock: Simulated,
}

impl World {
    pub(super) fn new(seed: u64, trace: bool) -> World {
        let mut rng = StdRng::seed_from_u64(seed);
        let plan = Plan::draw(&mut rng);
        let disk = SimDisk::seeded(rng.random());
        disk.set_faults(plan.faults);
        let names = NAMES[..plan.topics].iter();
        let model = Model {
            topics: names.map(|name| TopicModel::new(name)).collect(),
            ..Model::default()
        };
        let mut world = World {
            producers: (0..plan.producers).map(|_| Producer::default()).collect(),
            members: vec![vec![Member::default(); MEMBERS]; GROUPS],
            rng,
            plan,
            disk,
            server: None,
            net: Net::default(),
            model,
            is_over: false,
            trace: trace.then(Vec::new),
            _clock: simulated::begin(BEGIN),
        };
        world.note(|world| format!("{:?}", world.plan));
        world
    }

    pub(super) fn note(&mut self, what: impl FnOnce(&World) -> String) {
        if self.trace.is_none() {
            return;
        }
        let line = what(self);
        self.trace.get_or_insert_default().push(line);
    }

    pub(super) fn server(&self) -> Arc<Server> {
        self.server.clone().expect("the broker runs between steps")
    }

    pub(super) fn send(&mut self, ask: Ask) {
        self.note(|_| format!("  asks {:?}", ask.about));
        self.net.send(&self.server(), ask);
    }

    /// Gives the clients the answers that are there, and goes on with whatever comes of it.
    pub(super) fn settle(&mut self) -> Checked {
        loop {
            self.net.collect(&self.disk);
            let answered = self.net.take_answered();
            if answered.is_empty() {
                break;
            }
            for (about, bytes) in answered {
                if self.rng.random_bool(self.plan.lost_answers) {
                    self.note(|_| format!("  lost the answer to {about:?}"));
                    self.lost(about);
                } else {
                    self.answer(about, bytes)?;
                }
            }
        }
        let failed = self.server().syncer.failure().borrow().clone();
        let failed = failed.map(|error| error.to_string());
        if self.disk.has_stopped() {
            let power = self.rng.random();
            self.crash(power)
        } else if let Some(error) = failed {
            self.note(|_| format!("the broker stops: {error}"));
            must(self.disk.failed_calls() > 0, || {
                format!("the broker stops without a fault of the disk: {error}")
            })?;
            self.crash(false)
        } else {
            Ok(())
        }
    }

    /// The process is gone, or the machine; then both are there again.
    pub(super) fn crash(&mut self, power: bool) -> Checked {
        self.end_process();
        self.next_disk(power);
        self.start()
    }

    fn next_disk(&mut self, power: bool) {
        self.note(|_| if power { "loses power" } else { "is killed" }.into());
        self.disk = if power {
            self.disk.lose_power()
        } else {
            self.disk.kill()
        };
    }

    pub(super) fn end_process(&mut self) {
        self.net.cut();
        self.server = None;
        self.model.generations.clear();
        self.members
            .iter_mut()
            .flatten()
            .for_each(|member| *member = Member::default());
    }

    /// A stop in order, and a start.
    pub(super) fn stop(&mut self) -> Checked {
        self.net.cut();
        let closed = broker::close(&self.server());
        self.note(|_| format!("stops: {closed:?}"));
        if let Err(error) = closed {
            self.tolerate(error, 0)?;
        }
        self.end_process();
        if self.disk.has_stopped() || self.rng.random_ratio(1, 3) {
            let power = self.rng.random();
            self.next_disk(power);
        } else {
            self.disk = self.disk.kill();
        }
        self.start()
    }

    /// Starts, which may be interrupted several times, until it is done.
    pub(super) fn start(&mut self) -> Checked {
        for attempt in 0.. {
            if attempt < FAILED_STARTS && self.rng.random_ratio(1, 4) {
                let calls = self.rng.random_range(0..80);
                self.disk.stop_after(Some(calls));
            }
            if attempt >= FAILED_STARTS {
                self.disk.set_faults(Faults::default());
                self.disk.fill_up_after(None);
            }
            let failed = self.disk.failed_calls();
            let opened = self.open();
            if self.disk.has_stopped() {
                drop(opened);
                let power = self.rng.random();
                self.note(|_| "stops while it starts".into());
                self.next_disk(power);
                continue;
            }
            self.disk.stop_after(None);
            match opened {
                Ok(server) => {
                    self.server = Some(Arc::new(server));
                    self.disk.is_whole();
                    break;
                }
                Err(error @ Error::Corrupt { .. }) if self.disk.has_holes() => {
                    self.note(|_| format!("does not start after a failed sync: {error:?}"));
                    self.is_over = true;
                    return Ok(());
                }
                Err(error) => {
                    self.note(|_| format!("does not start: {error:?}"));
                    self.tolerate(error, failed)?;
                    self.disk = self.disk.kill();
                }
            }
        }
        self.note(|_| "runs".into());
        self.find_topics()?;
        self.audit()
    }

    pub(super) fn open(&self) -> Result<Server, Error> {
        let mut config = BrokerConfig::new("mounted/data/log");
        config.sync_threads = 0;
        let stores = Stores::open(&config, Arc::new(self.disk.clone()))?;
        stores.serve(config, SocketAddr::from((Ipv4Addr::LOCALHOST, 9092)))
    }

    /// An error is fine where the disk gave a reason for it.
    pub(super) fn tolerate(&mut self, error: Error, failed_before: u64) -> Checked {
        let fine = match &error {
            Error::Corrupt { .. } => false,
            _ => self.disk.may_fail(failed_before),
        };
        if fine {
            Ok(())
        } else {
            Err(Violation(format!("without a reason: {error:?}")))
        }
    }

    /// Which of the topics that may be there are there.
    pub(super) fn find_topics(&mut self) -> Checked {
        let server = self.server();
        for topic in &mut self.model.topics {
            topic.found(server.topics.find(topic.name).map(|found| found.id))?;
        }
        Ok(())
    }

    /// Time passes.
    pub(super) fn wait(&mut self, ms: u64) {
        simulated::turn(ms);
    }
}
