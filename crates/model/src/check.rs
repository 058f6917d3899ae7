//! Visits every state of a part and looks for a promise that is broken.

use std::time::{Duration, Instant};

use stateright::{Checker as _, HasDiscoveries};

use crate::{graph::Graph, part::Part, promise, story::Story};

/// What was found.
#[derive(Debug)]
pub struct Verdict {
    /// Different states that were visited: all there are, when no promise is broken.
    pub states: usize,
    pub took: Duration,
    pub broken: Option<Broken>,
}

/// A promise, and the shortest way to break it.
#[derive(Debug)]
pub struct Broken {
    pub promise: &'static str,
    pub story: Story,
}

/// Checks the promises in all states, then that from each of them the end can be reached.
///
/// `eventually` properties of stateright are not used: they pass over cycles, and a protocol that
/// claims again and again is one.
///
/// # Panics
/// When stateright's visit and ours differ: one of the two is wrong.
pub(crate) fn check<P: Part>(part: P) -> Verdict {
    let began = Instant::now();
    let found = part.checker().finish_when(HasDiscoveries::Any);
    let found = found.spawn_bfs().join();
    let states = found.unique_state_count();
    let model = found.model();
    let mut graph = Graph::of(model);
    let broken = match found.discoveries().is_empty() {
        false => Some(broken(&mut graph)),
        true => {
            while graph.next().is_some() {}
            assert_eq!(graph.len(), states, "two visits of all states differ");
            graph.stuck().map(|stuck| Broken {
                promise: promise::STUCK,
                story: graph.story(stuck),
            })
        }
    };
    Verdict {
        states,
        took: began.elapsed(),
        broken,
    }
}

/// Stateright stops somewhere behind the first state that breaks a promise; this is that one.
fn broken<P: Part>(graph: &mut Graph<'_, P>) -> Broken {
    while let Some(number) = graph.next() {
        if let Some(promise) = graph.broken(number) {
            let story = graph.story(number);
            return Broken { promise, story };
        }
    }
    unreachable!("stateright has found a broken promise")
}
